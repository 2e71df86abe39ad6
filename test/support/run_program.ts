/** Small programs of the system, run to their end. @module */

import { TuttiError } from "../../shared/errors.ts";

export interface RunProgramOptions {
  readonly cwd?: string;
  /** Ends the program, with the signal's reason as error. */
  readonly signal?: AbortSignal;
}

/**
 * @returns standard output
 * @throws {TuttiError} FAILED_PRECONDITION with the command and its standard error if it fails or is not there
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunProgramOptions = {},
): Promise<string> {
  const line = `${program} ${args.join(" ")}`;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { ...options, args: [...args], stdin: "null" })
      .output();
  } catch (cause) {
    throw new TuttiError("FAILED_PRECONDITION", `"${line}" cannot be started`, { cause });
  }
  const { success, code, stdout, stderr } = output;
  if (success) return new TextDecoder().decode(stdout);
  options.signal?.throwIfAborted();
  const said = new TextDecoder().decode(stderr).trim() || `exit code ${code}`;
  throw new TuttiError("FAILED_PRECONDITION", `"${line}" failed: ${said}`);
}

/** Whether it succeeded. */
export function tryRun(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(() => true, () => false);
}
