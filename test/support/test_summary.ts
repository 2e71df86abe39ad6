/**
 * The counts in the line that `deno test` ends with.
 *
 * @module
 */

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  /** Deno calls them ignored. Tests that a filter left out are in none of the counts. */
  readonly skipped: number;
}

// deno-lint-ignore no-control-regex
const COLOUR = /\x1b\[[0-9;]*m/g;
const COUNT = String.raw`(\d+) (\w+(?: out)?)(?: \(\d+ steps?\))?`;
const SUMMARY = new RegExp(
  String.raw`^(?:ok|FAILED) \| ${COUNT}(?: \| ${COUNT})* \([^()]+\)$`,
);

/**
 * Reads one line of output, such as `FAILED | 2 passed (3 steps) | 1 failed (1 step) | 1 ignored
 * (9ms)`, with or without colours.
 *
 * @returns undefined if the line is no summary
 */
export function parseSummary(line: string): TestCounts | undefined {
  const text = line.replaceAll(COLOUR, "").trimEnd();
  if (!SUMMARY.test(text)) return undefined;
  const counts = new Map<string, number>();
  for (const [, count, kind] of text.matchAll(new RegExp(COUNT, "g"))) {
    counts.set(kind!, Number(count));
  }
  const [passed, failed] = [counts.get("passed"), counts.get("failed")];
  if (passed === undefined || failed === undefined) return undefined;
  return { passed, failed, skipped: counts.get("ignored") ?? 0 };
}

/** Lines that tell enough of a run that broke down before it could say what failed. */
const LAST_LINES = 40;

/** What `deno test` printed of its failures: from the errors on, or its last lines if it never came to them. */
export function failuresIn(output: string): string {
  const lines = output.trimEnd().split("\n");
  const errors = lines.findLastIndex((line) => line.replaceAll(COLOUR, "").trim() === "ERRORS");
  return lines.slice(errors < 0 ? -LAST_LINES : errors).join("\n");
}

/** Names of tests that `deno test` lists as failed, each with its file: `reads a file (./test/read_test.ts)`. */
export function failedTests(output: string): string[] {
  const lines = output.replaceAll(COLOUR, "").split("\n").map((line) => line.trim());
  const list = lines.lastIndexOf("FAILURES");
  if (list < 0) return [];
  return lines.slice(list + 1).flatMap((line) => {
    const test = /^(.+) => (\S+?\.ts):\d+:\d+$/.exec(line);
    if (test) return [`${test[1]} (${test[2]})`];
    const file = /^(\S+\.ts) \((uncaught error)\)$/.exec(line);
    return file ? [`${file[2]} (${file[1]})`] : [];
  });
}

/** The line by which every run of the tests ends. */
export function formatCounts({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/**
 * What to report when the run ended with `exitCode`, and what is odd about it. A run that broke down
 * (a type error, a crash) counts as one failure, so that no reader takes it for a success.
 */
export function conclude(
  summary: TestCounts | undefined,
  exitCode: number,
): { counts: TestCounts; exitCode: number; remark?: string } {
  if (summary === undefined) {
    return {
      counts: { passed: 0, failed: 1, skipped: 0 },
      exitCode: exitCode || 1,
      remark: `deno test printed no summary and ended with exit code ${exitCode}`,
    };
  }
  if (exitCode !== 0 && summary.failed === 0) {
    return {
      counts: { ...summary, failed: 1 },
      exitCode,
      remark: `deno test ended with exit code ${exitCode} though no test failed`,
    };
  }
  return { counts: summary, exitCode };
}
