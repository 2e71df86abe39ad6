/** The flags of `deno task test` that are not those of `deno test`. @module */

export interface TestFlags {
  /** Whether what failed among all tests is run once more. */
  readonly isRepeated: boolean;
  /** Threads to keep busy meanwhile. */
  readonly beside: number;
  /** For `deno test`: paths and options; none stands for all tests. */
  readonly args: readonly string[];
}

/** @throws {RangeError} if `--beside` is no number of threads */
export function parseTestFlags(given: readonly string[]): TestFlags {
  const args = [...given];
  const besideAt = args.indexOf("--beside");
  const [, beside = "0"] = besideAt < 0 ? [] : args.splice(besideAt, 2);
  if (!/^\d{1,3}$/.test(beside) || besideAt >= 0 && beside === "0") {
    throw new RangeError(`--beside must be 1 to 999 threads: current value is "${beside}"`);
  }
  const repeatAt = args.indexOf("--repeat-failed");
  if (repeatAt >= 0) args.splice(repeatAt, 1);
  return { isRepeated: repeatAt >= 0, beside: Number(beside), args };
}
