/** On which machine, and from which sources, a benchmark runs. @module */

import { cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";

export interface BenchMachine {
  /** Model of the processor, as the system names it. */
  readonly cpu: string;
  /** That this process may use. */
  readonly cores: number;
  readonly memoryBytes: number;
}

/** Where the system does not tell, or there is nothing to tell. */
const UNKNOWN = "unknown";

export function benchMachine(): BenchMachine {
  return {
    cpu: cpus()[0]?.model.trim() || UNKNOWN,
    cores: navigator.hardwareConcurrency,
    memoryBytes: totalmem(),
  };
}

/** Hash of the commit that is checked out, with `-dirty` behind it if a tracked file has changed since. */
export async function sourceCommit(folder: string = dirname(MAIN_PROGRAM)): Promise<string> {
  const checkout = await git(folder, "rev-parse", "--show-prefix", "HEAD");
  const [prefix, commit] = checkout.stdout.split("\n");
  // A prefix: the folder is part of somebody else's repository, whose commits say nothing about these sources.
  if (checkout.code !== 0 || prefix !== "" || !commit) return UNKNOWN;
  const { code } = await git(folder, "diff", "--quiet", "HEAD");
  return code === 0 ? commit : `${commit}-dirty`;
}

async function git(
  folder: string,
  ...args: string[]
): Promise<{ readonly code: number; readonly stdout: string }> {
  try {
    const { code, stdout } = await new Deno.Command("git", {
      args: ["-C", folder, ...args],
      stdin: "null",
      stderr: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout) };
  } catch {
    return { code: 1, stdout: "" }; // No git.
  }
}
