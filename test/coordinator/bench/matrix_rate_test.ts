import assert from "node:assert/strict";
import { MatrixRate } from "../../../coordinator/bench/matrix_rate.ts";

Deno.test("MatrixRate keeps the best rate of all runs", async () => {
  await using matrix = await MatrixRate.open({ device: "cpu", threads: 1 }, 256);
  assert.equal(matrix.best, 0);
  await matrix.measure(1);
  const first = matrix.best;
  // Between a tenth of what one slow core does and more than any does.
  assert.ok(first > 1e8 && first < 1e13, `${first}`);
  await matrix.measure(5);
  assert.ok(matrix.best >= first);
});
