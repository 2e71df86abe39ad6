/** A benchmark in a process of its own. @module */

import { throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { MAIN_PROGRAM } from "../../../shared/project_files.ts";
import type { BenchResult } from "../../bench/bench_result.ts";
import { parseResults } from "../../bench/parse_results.ts";

/**
 * Runs `tutti bench ARGS --json` to its end.
 *
 * @throws {TuttiError} what the benchmark says when it fails; CANCELLED once the process that the signal stops has ended
 */
export async function runBenchProcess(
  args: readonly string[],
  signal: AbortSignal,
): Promise<BenchResult[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", MAIN_PROGRAM, "bench", ...args, "--json"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    // A group of its own: Ctrl-C reaches it through this process once, not twice.
    detached: true,
  }).spawn();
  const stop = () => child.kill("SIGINT");
  signal.addEventListener("abort", stop);
  try {
    const { code, stdout, stderr } = await child.output();
    throwIfAborted(signal);
    const decoder = new TextDecoder();
    const results = parseResults(decoder.decode(stdout), `tutti bench ${args.join(" ")}`);
    if (code === 0) return results;
    const said = decoder.decode(stderr).trim();
    throw new TuttiError("UNKNOWN", said === "" ? `It ended with exit code ${code}` : said);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
