import assert from "node:assert/strict";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import { AttentionUsage } from "../../../coordinator/training/attention_usage.ts";
import { evaluate, heldOutRows, pairedDifference } from "../../../coordinator/training/held_out.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { openSmallTraining } from "./small_training.ts";

Deno.test("held-out losses of a new SABW are those of averaging, at the same draws each time", async () => {
  await using small = await openSmallTraining();
  const { experts, rows } = small;
  const heldOut = heldOutRows(rows, small.examples.slice(0, 2), 1n, 2);
  const plan = aggregationPlan(experts[0]!.description.blocks);
  const uniform = { experts, aggregator: new UniformAggregator(), plan };
  const losses = await evaluate(uniform, rows, heldOut, 3);
  assert.equal(new Set(losses).size, 4);
  const sabw = await small.openSabw();
  const untrained = await evaluate({ ...uniform, aggregator: sabw }, rows, heldOut, 2);
  losses.forEach((loss, i) => assert.ok(Math.abs(untrained[i]! / loss - 1) < 1e-4));
  const again = heldOutRows(rows, small.examples.slice(0, 2), 1n, 2);
  assert.deepEqual(await evaluate(uniform, rows, again, 3), losses);
});

Deno.test("pairedDifference() is the mean of differences with its 95 % interval", () => {
  const { mean, halfWidth } = pairedDifference([1, 2, 3, 4], [2, 2, 4, 6]);
  assert.equal(mean, -1);
  // Differences -1, 0, -1, -2: variance 2/3.
  assert.ok(Math.abs(halfWidth - 1.96 * Math.sqrt(2 / 3 / 4)) < 1e-12);
  assert.equal(pairedDifference([1], [2]).halfWidth, Infinity);
});

Deno.test("AttentionUsage is the mean over rows and pixels, by block", () => {
  const usage = new AttentionUsage();
  usage.add({ last: "IN00", attentionMap: f32([1, 2, 1, 2], [0.9, 0.7, 0.1, 0.3]) });
  usage.add({ last: "M00", attentionMap: f32([1, 2, 1, 1], [0.5, 0.5]) });
  usage.add({ last: "IN00", attentionMap: f32([1, 2, 1, 1], [0, 1]) });
  usage.add({ last: "OUT11" });
  const near = (actual: readonly number[], expected: readonly number[]) =>
    actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-6, `${actual}`));
  const [first, second, ...rest] = usage.blocks();
  assert.deepEqual([first!.block, second!.block, rest], ["IN00", "M00", []]);
  near(first!.shares, [0.4, 0.6]);
  near(usage.overall(), [0.45, 0.55]);
  usage.reset();
  assert.deepEqual(usage.overall(), []);
});
