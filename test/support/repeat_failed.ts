/**
 * Tests wait for real processes and real timeouts, which a neighbour's load can break. So what failed beside other tests is
 * run once more with the machine to itself: what fails again is wrong, and what passes is reported as unstable.
 *
 * @module
 */

import { failuresIn, type TestCounts } from "./test_summary.ts";

export interface Conclusion {
  readonly counts: TestCounts;
  readonly exitCode: number;
}

/** What came of the files that one process ran. */
export interface BatchRun extends Conclusion {
  readonly files: readonly string[];
  readonly output: string;
}

/** When more batches fail than this, it is no neighbour's load. */
const MAX_REPEATED = 3;

export const hasFailed = ({ exitCode }: Conclusion) => exitCode !== 0;

/**
 * @param runAgain called for one batch after the other
 * @returns the runs that count, in any order: of what was repeated, the second
 */
export async function repeatFailed(
  runs: readonly BatchRun[],
  runAgain: (files: readonly string[]) => Promise<BatchRun>,
  say: (text: string) => void,
): Promise<readonly BatchRun[]> {
  const failed = runs.filter(hasFailed);
  if (failed.length > MAX_REPEATED) return runs;
  const final = runs.filter((run) => !hasFailed(run));
  for (const { files, output } of failed) {
    say(`\nOnce more, alone: ${files.join(" ")}`);
    const again = await runAgain(files);
    final.push(again);
    if (hasFailed(again)) continue;
    say(`\nUNSTABLE: failed beside other tests, passed alone:\n${failuresIn(output)}\n`);
  }
  return final;
}
