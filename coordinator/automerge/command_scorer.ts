/** A judge of the user's own: a command that gets pictures and prints a number. @module */

import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import type { Scorer } from "./scorer.ts";

/** @param command for the shell; the paths of the pictures are its last arguments */
export function commandScorer(command: string): Scorer {
  return {
    conditions: { scorer: command },
    score: async ({ pictures }, signal) => {
      throwIfAborted(signal);
      const child = new Deno.Command("sh", {
        args: ["-c", `${command} "$@"`, "sh", ...pictures],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        signal,
      });
      const { code, stdout, stderr } = await child.output();
      throwIfAborted(signal);
      const [said, complaint] = [stdout, stderr].map((bytes) => lastLine(bytes));
      if (code !== 0) throw failed(command, `it ended with exit code ${code}`, complaint!);
      const score = Number(said);
      if (said !== "" && Number.isFinite(score)) return score;
      throw failed(command, `its last line must be a number: it is ${show(said)}`, complaint!);
    },
  };
}

function lastLine(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim().split("\n").at(-1)!.trim();
}

function failed(command: string, reason: string, complaint: string): TuttiError {
  return new TuttiError(
    "FAILED_PRECONDITION",
    `Scorer ${show(command)} gave no score: ${reason}${complaint === "" ? "" : ` (${complaint})`}`,
    { details: { scorer: command } },
  );
}
