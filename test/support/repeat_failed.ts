/**
 * What failed among all tests, once more and with the machine to itself: what fails again is wrong, and each test that passes
 * is told as unstable. That is for unattended runs only, in which one test that goes by the machine's speed shall not hide what
 * the others say.
 *
 * @module
 */

import { failedTests, type TestCounts } from "./test_summary.ts";

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
    for (const name of passedSince(output, again)) say(`UNSTABLE ${name}`);
  }
  return final;
}

/** Tests that failed in the first run and not in the second; the files, if the first one broke down before it could name a test. */
function passedSince(output: string, again: BatchRun): readonly string[] {
  const failed = failedTests(output);
  if (failed.length === 0) return hasFailed(again) ? [] : [`run of ${again.files.join(" ")}`];
  const still = failedTests(again.output);
  // A run that broke down says nothing about the tests that it did not come to.
  if (hasFailed(again) && still.length === 0) return [];
  return failed.filter((name) => !still.includes(name));
}
