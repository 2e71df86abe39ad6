import assert from "node:assert/strict";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import { evaluate, heldOutRows } from "../../../coordinator/training/held_out.ts";
import { OneHotAggregator } from "../../../coordinator/sampling/one_hot_aggregator.ts";
import { type Choices, greedyOneHot } from "../../../coordinator/training/one_hot.ts";
import { openSmallTraining } from "./small_training.ts";

Deno.test("one expert chosen at every block is that expert alone, to the bit; a mixed choice is neither", async () => {
  await using small = await openSmallTraining();
  const { experts, rows } = small;
  const heldOut = heldOutRows(rows, small.examples.slice(0, 2), 1n, 1);
  const { blocks } = experts[0]!.description;
  const plan = aggregationPlan(blocks);
  const chosen = (choice: (index: number) => number) => {
    const choices = new Map(blocks.map(({ id }, i) => [id, choice(i)]));
    const aggregator = new OneHotAggregator((block) => choices.get(block)!);
    return evaluate({ experts, aggregator, plan }, rows, heldOut, 2);
  };
  const uniform = new UniformAggregator();
  for (const i of [0, 1]) {
    const alone = { experts: [experts[i]!], aggregator: uniform, plan };
    const losses = await evaluate(alone, rows.ofExpert(i), heldOut, 2);
    assert.deepEqual(await chosen(() => i), losses);
    assert.notDeepEqual(await chosen((index) => index % 2), losses);
  }
});

Deno.test("greedyOneHot() takes each block's best expert, whatever it began with", async () => {
  // Each block has its own share of the loss: the best choice of all is the best of each.
  const best: Readonly<Record<string, number>> = { IN00: 2, M00: 0, OUT11: 1 };
  let calls = 0;
  const lossesOf = (choices: Choices) => {
    calls++;
    const wrong = [...choices].filter(([block, expert]) => best[block] !== expert).length;
    return Promise.resolve([wrong, 2 * wrong]);
  };
  for (const start of [0, 1, 2]) {
    calls = 0;
    const { choices, losses } = await greedyOneHot(Object.keys(best), 3, start, lossesOf);
    assert.deepEqual(Object.fromEntries(choices), best);
    assert.deepEqual(losses, [0, 0]);
    assert.equal(calls, 1 + 3 * 2);
  }
});
