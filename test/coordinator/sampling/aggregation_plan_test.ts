import assert from "node:assert/strict";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import { SD15_UNET } from "../../../shared/models/config/known_configs.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";

const BLOCKS = unetBlockTable(SD15_UNET);

Deno.test("aggregationPlan(): all blocks, or the noise alone", () => {
  const all = aggregationPlan(BLOCKS);
  assert.deepEqual(all, BLOCKS.map(({ id }) => ({ first: id, last: id })));
  assert.deepEqual(aggregationPlan(BLOCKS, "noise"), [{ first: "IN00", last: "OUT11" }]);
  assert.deepEqual(aggregationPlan(BLOCKS, []), [{ first: "IN00", last: "OUT11" }]);
});

Deno.test("aggregationPlan(): some blocks, in the order of the table, and the noise always", () => {
  assert.deepEqual(aggregationPlan(BLOCKS, ["M00", "IN00", "M00"]), [
    { first: "IN00", last: "IN00" },
    { first: "IN01", last: "M00" },
    { first: "OUT00", last: "OUT11" },
  ]);
  assert.deepEqual(aggregationPlan(BLOCKS, ["OUT11"]), [{ first: "IN00", last: "OUT11" }]);
});

Deno.test("aggregationPlan() refuses a block that there is not", () => {
  assert.throws(() => aggregationPlan(BLOCKS, ["IN00", "IN12"]), {
    name: "UsageError",
    message: 'Aggregated blocks must be among IN00..OUT11: current value is "IN12"',
  });
});
