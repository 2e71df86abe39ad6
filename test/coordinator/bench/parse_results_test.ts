import assert from "node:assert/strict";
import { parseResults } from "../../../coordinator/bench/parse_results.ts";
import { FormatError } from "../../../shared/errors.ts";

const RESULT = {
  ...{ bench: "plane", name: "plane.shm.10MB", value: 3.5, unit: "ms", commit: "unknown" },
  spread: { runs: 5, min: 3, lowerQuartile: 3.4, upperQuartile: 3.6, max: 4 },
  machine: { cpu: "x", cores: 2, memoryBytes: 1e9 },
};
const MEASURED = { name: "shm", value: 1, unit: "ms" };

Deno.test("parseResults() reads one result a line", () => {
  const pair = { a: MEASURED, b: MEASURED };
  const lines = [RESULT, { ...RESULT, pair }, { ...RESULT, spread: undefined }];
  const text = lines.map((line) => JSON.stringify(line)).join("\n\n") + "\n";
  assert.deepEqual(parseResults(text, "f"), JSON.parse(JSON.stringify(lines)));
});

Deno.test("parseResults() names the line and the field that is wrong", () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [{ ...RESULT, name: 1 }, "name"],
    [{ ...RESULT, value: "3.5" }, "value"],
    [{ ...RESULT, value: null }, "value"],
    [{ ...RESULT, unit: "furlongs" }, "unit"],
    [{ ...RESULT, spread: { runs: 1 } }, "spread"],
    [{ ...RESULT, pair: { a: MEASURED, b: { name: "unix" } } }, "value"],
    [{ ...RESULT, pair: { a: MEASURED } }, "name"],
    [{ ...RESULT, bench: undefined }, "bench"],
    [{ ...RESULT, commit: undefined }, "commit"],
    [{ ...RESULT, machine: { cpu: "x" } }, "machine"],
    [null, "name"],
    [[], "name"],
  ];
  for (const [value, field] of cases) {
    const text = `${JSON.stringify(RESULT)}\n${JSON.stringify(value)}\n`;
    assert.throws(() => parseResults(text, "f.jsonl"), (error: Error) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, /^Line 2 of "f\.jsonl" is no result of a benchmark/);
      assert.ok(error.message.includes(`"${field}" is missing or wrong`), error.message);
      return true;
    });
  }
  assert.throws(() => parseResults("{", "f"), /Line 1 of "f" is not JSON/);
});

Deno.test("parseResults() throws what a benchmark printed as its error", () => {
  const line = { event: "error", code: "RESOURCE_EXHAUSTED", message: "too small" };
  const text = JSON.stringify(line);
  assert.throws(() => parseResults(text, "f"), {
    code: "RESOURCE_EXHAUSTED",
    message: "too small",
  });
  const odd = JSON.stringify({ ...line, code: "toString" });
  assert.throws(() => parseResults(odd, "f"), { code: "UNKNOWN" });
});
