import assert from "node:assert/strict";
import { readCheckpoint, writeCheckpoint } from "../../../coordinator/training/checkpoint.ts";
import { batchGradients } from "../../../coordinator/training/batch_pass.ts";
import { train, type TrainRequest, type TrainStep } from "../../../coordinator/training/train.ts";
import type { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { bytesOf, f32 } from "../../../shared/tensor/tensor.ts";
import { openSmallTraining } from "./small_training.ts";

const METADATA = {
  experts: [{ name: "a", modelHash: "1" }, { name: "b", modelHash: "2" }],
  aggregatedBlocks: "noise",
  recipe: {},
} as const;

async function run(request: TrainRequest): Promise<TrainStep[]> {
  return await Array.fromAsync(train(request));
}

function weightsOf(sabw: TrainableSabw): Map<string, Uint8Array> {
  return new Map(
    [...sabw.parameters].flatMap(([block, byKey]) =>
      [...byKey].map(([key, tensor]) => [`${block}.${key}`, bytesOf(tensor).slice()] as const)
    ),
  );
}

Deno.test("training that goes on from a checkpoint ends with the bits of one that was not interrupted", async () => {
  await using small = await openSmallTraining(["IN04", "M00"]);
  const whole = await small.openSabw();
  const initial = weightsOf(whole);
  const steps = await run(small.request(whole, { steps: 4 }));

  const cut = await small.openSabw();
  const folder = small.temp.join("checkpoint");
  const losses: number[] = [];
  for await (const { step, loss, state } of train(small.request(cut, { steps: 4 }))) {
    losses.push(loss);
    if (step < 2) continue;
    const record = { recipe: { seed: "7" }, losses, heldOut: [{ step: 1, loss: 2 }] };
    await writeCheckpoint(folder, {
      ...{ aggregators: cut.aggregators, optimizer: state, record, metadata: METADATA },
    });
    break; // As a process that ends here.
  }
  const resumed = await small.openSabw(folder);
  const { optimizer, record } = await readCheckpoint(folder);
  assert.equal(optimizer.updates, 2);
  assert.deepEqual(record.losses, losses);
  const rest = await run(small.request(resumed, { steps: 4, from: optimizer }));
  assert.deepEqual(rest.map(({ step }) => step), [3, 4]);
  assert.deepEqual([...losses, ...rest.map(({ loss }) => loss)], steps.map(({ loss }) => loss));
  assert.deepEqual(weightsOf(resumed), weightsOf(whole));

  // And it did learn, where it aggregates and nowhere else.
  const changed = [...weightsOf(whole)].filter(([key, bytes]) =>
    !initial.get(key)!.every((byte, i) => byte === bytes[i])
  );
  const blocks = new Set(changed.map(([key]) => key.split(".")[0]));
  assert.deepEqual([...blocks], ["IN04", "M00", "OUT11"]);
});

Deno.test("training makes the loss of its examples at other noise smaller", async () => {
  await using small = await openSmallTraining("noise");
  const sabw = await small.openSabw();
  const request = small.request(sabw, { steps: 8, dropText: 0 });
  const draws = small.examples.map((example, i) => ({
    example,
    draw: small.rows.draw(7n, ["fixed", i], 0),
  }));
  const batch = await small.rows.batch(draws);
  const before = await batchGradients(request.ensemble, batch);
  await run(request);
  const after = await batchGradients(request.ensemble, batch);
  assert.ok(after.loss < before.loss * 0.998, `${after.loss} is not below ${before.loss}`);
});

Deno.test("micro-batches change neither draws nor, up to rounding, gradients", async () => {
  await using small = await openSmallTraining("noise");
  const [one, three] = [await small.openSabw(), await small.openSabw()];
  const [a] = await run(small.request(one, { steps: 1, microBatch: 1 }));
  const [b] = await run(small.request(three, { steps: 1, microBatch: 3 }));
  assert.ok(Math.abs(a!.loss / b!.loss - 1) < 1e-5, `${a!.loss} ${b!.loss}`);
  const first = (step: TrainStep) => step.state.moments.get("OUT11")!.get("conv_out.weight")!.first;
  assert.ok(difference(first(a!).data, first(b!).data).relativeL2 < 1e-4);
  assert.ok(first(a!).data.some((value) => value !== 0));
});

Deno.test("a value that is not finite stops training with the block's name and leaves the weights of the step before", async () => {
  await using small = await openSmallTraining("noise");
  const sabw = await small.openSabw();
  let calls = 0;
  const broken = small.experts[1]!;
  const backwardBlock = broken.backwardBlock.bind(broken);
  broken.backwardBlock = (call, signal) => {
    // The third micro-batch is in the second step.
    const isBad = call.block === "M00" && ++calls > 2;
    const { shape, data } = call.gradOutput;
    const gradOutput = isBad ? f32(shape, data.map(() => Infinity)) : call.gradOutput;
    return backwardBlock({ ...call, gradOutput }, signal);
  };
  let kept = weightsOf(sabw);
  let steps = 0;
  await assert.rejects(async () => {
    for await (const { step } of train(small.request(sabw))) {
      steps = step;
      kept = weightsOf(sabw);
    }
  }, {
    code: "DATA_LOSS",
    message: /^Training stopped in step 2 at block M00: grad_.+ must be finite/,
    details: { block: "M00", model: "expert-b", step: "2" },
  });
  assert.equal(steps, 1);
  assert.deepEqual(weightsOf(sabw), kept);
});

Deno.test("dropText takes the text of as many rows as it says, whatever the batch", async () => {
  await using small = await openSmallTraining("noise");
  const draws = Array.from({ length: 2000 }, (_, i) => small.rows.draw(3n, ["train", i], 0.1));
  const dropped = draws.filter(({ isTextDropped }) => isTextDropped).length;
  // Five standard deviations (13.4) around 200.
  assert.ok(Math.abs(dropped - 200) < 67, `${dropped}`);
  const timesteps = draws.map(({ timestep }) => timestep);
  assert.ok(Math.min(...timesteps) < 10 && Math.max(...timesteps) > 989);
  const [example] = small.examples;
  const texts = await small.rows.batch([
    { example: example!, draw: { ...draws[0]!, isTextDropped: true } },
    { example: example!, draw: { ...draws[0]!, isTextDropped: false } },
  ]);
  const [{ promptEmbeds }] = texts.embeds as [typeof texts.embeds[0]];
  const half = promptEmbeds.data.length / 2;
  assert.notDeepEqual(promptEmbeds.data.slice(0, half), promptEmbeds.data.slice(half));
  assert.deepEqual(texts.latents.data.slice(0, 256), texts.latents.data.slice(256));
});
