import assert from "node:assert/strict";
import { EnsembleSide } from "../../../coordinator/bench/ensemble_side.ts";
import { checkSameResult } from "../../../coordinator/bench/same_result.ts";
import { partFigures, stepParts } from "../../../coordinator/bench/step_parts.ts";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { blockOutputShape } from "../../../shared/models/blocks.ts";
import { elementCount } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";

const SIZE = { width: 64, height: 64, batch: 2 };
const aggregator = new UniformAggregator();

Deno.test("EnsembleSide steps again and again: the same noise, in turns or at once", async () => {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN03: 2 } })];
  await using atOnce = await EnsembleSide.open({ ...SIZE, name: "a", experts, aggregator });
  await using turns = await EnsembleSide.open({
    ...{ ...SIZE, name: "b", experts, aggregator, inTurns: true },
  });
  assert.equal(atOnce.noisePred, undefined);
  assert.throws(() => checkSameResult(atOnce, turns), /must agree within/);
  for (const side of [atOnce, turns, atOnce]) await side.run();
  checkSameResult(atOnce, turns);
  assert.equal(atOnce.noisePred!.shape.join(), "2,4,8,8");

  await using other = await EnsembleSide.open({
    ...{ ...SIZE, name: "other", experts: experts.slice(1), aggregator },
  });
  await other.run();
  assert.throws(() => checkSameResult(atOnce, other), {
    code: "DATA_LOSS",
    message: /^The noise of a and other must agree within 0\.0001/,
  });
});

Deno.test("EnsembleSide counts where a step went, from the warm-up's end on", async () => {
  await using a = await serveExpert(new AffineExpert());
  await using b = await serveExpert(new AffineExpert());
  const experts = [a.remote, b.remote];
  await using side = await EnsembleSide.open({ ...SIZE, name: "a", experts, aggregator });
  await side.run();
  side.forget();
  assert.deepEqual(side.stats.blocks(), []);
  for (let step = 0; step < 3; step++) await side.run();
  assert.equal(side.stats.blocks().length, 25);
  const figures = partFigures("x", side.stats);
  const { sentBytes, receivedBytes } = stepParts(side.stats);
  // Of both experts, in f32: the latents go to the first block, its output comes back and goes to the second, ...
  const { blocks } = experts[0]!.description;
  const outputBytes = blocks.map((block) =>
    2 * 4 * elementCount([2, ...blockOutputShape(block, 8, 8)])
  );
  const total = outputBytes.reduce((sum, bytes) => sum + bytes, 0);
  assert.equal(receivedBytes, total);
  // The noise has the latents' shape, so the one that is not sent on makes up for the other.
  assert.equal(sentBytes, total);
  assert.deepEqual(figures.map(({ name, unit }) => `${name} ${unit}`), [
    ...["x.compute ms", "x.queue ms", "x.load ms", "x.wire ms", "x.aggregate ms"],
    ...["x.sent bytes", "x.received bytes"],
  ]);
  assert.equal(figures[5]!.value, sentBytes);
});

Deno.test("EnsembleSide closes its sessions, and runs only the blocks that are asked for", async () => {
  const expert = new AffineExpert();
  {
    await using side = await EnsembleSide.open({
      ...{ ...SIZE, name: "single", experts: [expert], aggregator, aggregated: "noise" },
    });
    await side.run();
    assert.deepEqual(side.stats.blocks().map(({ block }) => block), ["IN00..OUT11"]);
    assert.equal(expert.openSessions, 1);
  }
  assert.equal(expert.openSessions, 0);
});
