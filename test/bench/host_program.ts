/** A program of ours on a host of a test network: JSON lines in, JSON lines out, and it ends with its input. @module */

import { readLines } from "../../coordinator/cluster/process_output.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import type { TestNetwork } from "../support/net_namespace.ts";

/** How long a program may take to end by itself. */
const STOP_GRACE_MS = 5_000;

export class HostProgram implements AsyncDisposable {
  readonly pid: number;
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string, void>;
  readonly #signal: AbortSignal | undefined;

  /**
   * @param args of `deno run`: file and arguments
   * @param signal ends it
   */
  constructor(
    network: TestNetwork,
    host: string,
    args: readonly string[],
    signal?: AbortSignal,
  ) {
    const deno = ["run", "--quiet", "--allow-all", ...args];
    const { program, args: all } = network.command(host, Deno.execPath(), deno);
    this.#signal = signal;
    this.#name = `${args[0]} on ${host}`;
    this.#child = new Deno.Command(program, {
      args: [...all],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      ...(signal && { signal }),
    }).spawn();
    this.pid = this.#child.pid;
    this.#input = this.#child.stdin.getWriter();
    this.#lines = readLines(this.#child.stdout);
  }

  /** @throws {TuttiError} ABORTED if it ends before it says something, CANCELLED if the signal ended it */
  async next<T>(): Promise<T> {
    const { value } = await this.#lines.next();
    if (value !== undefined) return JSON.parse(value) as T;
    throwIfAborted(this.#signal);
    throw new TuttiError("ABORTED", `${this.#name} ended with nothing more to say`);
  }

  async tell(value: unknown): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {/* It has ended already. */});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    await this.#child.status;
    clearTimeout(timer);
    await this.#lines.return();
  }
}
