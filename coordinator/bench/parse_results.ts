/** Reads the JSON lines that benchmarks print. @module */

import { type Code, CODES, FormatError, TuttiError } from "../../shared/errors.ts";
import { type BenchResult, type Measured, UNITS } from "./bench_result.ts";

/**
 * @param source for messages: the file
 * @throws {FormatError} naming the line that is no result
 * @throws {TuttiError} what a benchmark printed instead of results
 */
export function parseResults(text: string, source: string): BenchResult[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const where = `Line ${index + 1} of "${source}"`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new FormatError(`${where} is not JSON: ${(cause as Error).message}`, { cause });
    }
    throwIfError(value);
    return [checkResult(value, where)];
  });
}

/** `{"event": "error", ...}` is how every command of ours ends that failed with `--json`. */
function throwIfError(value: unknown): void {
  const { event, code, message } = (value ?? {}) as Record<string, unknown>;
  if (event !== "error") return;
  const known = typeof code === "string" && Object.hasOwn(CODES, code);
  throw new TuttiError(known ? code as Code : "UNKNOWN", String(message));
}

function checkResult(value: unknown, where: string): BenchResult {
  const { bench, machine, commit, pair, ...rest } = (value ?? {}) as Partial<BenchResult>;
  const { cpu, cores, memoryBytes } = machine ?? {};
  const problem = measuredProblem(rest) ??
    (pair === undefined ? undefined : measuredProblem(pair.a) ?? measuredProblem(pair.b)) ??
    (typeof bench !== "string" ? "bench" : undefined) ??
    (typeof commit !== "string" ? "commit" : undefined) ??
    (typeof cpu !== "string" || !isNumber(cores) || !isNumber(memoryBytes) ? "machine" : undefined);
  if (problem === undefined) return value as BenchResult;
  throw new FormatError(`${where} is no result of a benchmark: "${problem}" is missing or wrong`);
}

/** The field that is wrong. */
function measuredProblem(value: Partial<Measured> | undefined): string | undefined {
  if (typeof value?.name !== "string") return "name";
  if (!isNumber(value.value)) return "value";
  if (!UNITS.some((unit) => unit === value.unit)) return "unit";
  if (value.spread === undefined) return undefined;
  const { runs, min, lowerQuartile, upperQuartile, max } = value.spread;
  return [runs, min, lowerQuartile, upperQuartile, max].every(isNumber) ? undefined : "spread";
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
