/** The process of `run_attacks.ts`. @module */

import { fileURLToPath } from "node:url";
import type { FleetWorker } from "../scenarios/worker_fleet.ts";

const PROGRAM = fileURLToPath(import.meta.resolve("./run_attacks.ts"));

export class Attackers implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  /** @param worker needs pages */
  constructor({ address, httpAddress }: FleetWorker) {
    this.#child = new Deno.Command("nice", {
      // Strangers have computers of their own.
      args: [
        ...["-n", "10", Deno.execPath(), "run", "--quiet", "--allow-all", PROGRAM],
        ...[address, httpAddress!],
      ],
      stdout: "piped",
    }).spawn();
  }

  /** @returns how many rounds each attack had */
  async stop(): Promise<Readonly<Record<string, number>>> {
    this.#child.kill("SIGTERM");
    return JSON.parse(new TextDecoder().decode((await this.#child.output()).stdout));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has stopped.
    }
    await this.#child.status;
  }
}
