import assert from "node:assert/strict";
import { type ModelRun, trainModel } from "../../../../coordinator/zoo/recipes/train_model.ts";
import type { TrainableModel } from "../../../../coordinator/zoo/recipes/trainable_model.ts";
import { trainableVae, vaeInputs } from "../../../../coordinator/zoo/recipes/vae_stage.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { smallContext } from "./small_recipe.ts";

interface Small extends AsyncDisposable {
  readonly model: TrainableModel;
  run(changes?: Partial<ModelRun>): ModelRun;
}

async function smallVae(out: string): Promise<Small> {
  const context = await smallContext(out);
  const model = trainableVae(context);
  return {
    model,
    run: (changes = {}) => ({
      ...context.recipe.vae,
      ...{ stage: "vae", model, folder: `${out}/checkpoints`, settings: { seed: "3" } },
      checkpointEvery: 2,
      inputs: (first) => Promise.resolve(vaeInputs(context, first)),
      ...changes,
    }),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

async function finish(run: ModelRun): Promise<{ steps: number[]; weights: Float32Array }> {
  const events = trainModel(run);
  const steps: number[] = [];
  let next = await events.next();
  for (; !next.done; next = await events.next()) steps.push(next.value.step);
  return { steps, weights: next.value.average.data };
}

Deno.test("trainModel() overfits one batch", async () => {
  await using temp = await tempFolder();
  await using small = await smallVae(temp.path);
  const { run } = small;
  const always = await run().inputs(0);
  const losses: number[] = [];
  const events = trainModel(run({
    ...{ steps: 60, batch: 2, highestRate: 1e-2, checkpointEvery: 1000 },
    inputs: () => Promise.resolve(always),
  }));
  for await (const { loss } of events) losses.push(loss);
  assert.ok(losses.at(-1)! < 0.35 * losses[0]!, `${losses[0]} -> ${losses.at(-1)}`);
});

Deno.test("trainModel() that was abandoned goes on from its checkpoint to the same bits", async () => {
  await using whole = await tempFolder();
  await using cut = await tempFolder();
  await using first = await smallVae(whole.path);
  const expected = await finish(first.run());
  assert.deepEqual(expected.steps, [1, 2, 3, 4, 5, 6]);

  await using second = await smallVae(cut.path);
  for await (const { step } of trainModel(second.run())) if (step === 3) break;
  await using third = await smallVae(cut.path);
  const resumed = await finish(third.run());
  assert.deepEqual(resumed.steps, [3, 4, 5, 6]);
  assert.deepEqual(resumed.weights, expected.weights);
  // Nothing left to do: the result again.
  await using fourth = await smallVae(cut.path);
  const again = await finish(fourth.run());
  assert.deepEqual(again, { steps: [], weights: expected.weights });
});

Deno.test("trainModel() that is cancelled leaves a checkpoint of its last step", async () => {
  await using temp = await tempFolder();
  await using small = await smallVae(temp.path);
  const controller = new AbortController();
  const events = trainModel(small.run({ signal: controller.signal }));
  await assert.rejects(async () => {
    for await (const { step } of events) if (step === 3) controller.abort();
  }, { code: "CANCELLED" });
  const names = await Array.fromAsync(Deno.readDir(temp.join("checkpoints")), ({ name }) => name);
  assert.deepEqual(names.sort(), ["step-0000002", "step-0000003"]);
});

Deno.test("trainModel() refuses to go on with other settings, by name", async () => {
  await using temp = await tempFolder();
  await using small = await smallVae(temp.path);
  await finish(small.run({ steps: 2 }));
  await assert.rejects(finish(small.run({ steps: 4 })), {
    name: "FormatError",
    message: `A run goes on with its own settings: "steps" must be 2 as in "${
      temp.join("checkpoints", "step-0000002")
    }": current value is 4`,
  });
});

Deno.test("trainModel() stops at a loss that is not finite, and keeps the checkpoint before", async () => {
  await using temp = await tempFolder();
  await using small = await smallVae(temp.path);
  const { run } = small;
  const good = run().inputs;
  const bad = run({
    inputs: async (first) => {
      const inputs = await good(first);
      if (first < 12) return inputs;
      const noise = f32(inputs.noise!.shape);
      noise.data.fill(NaN);
      return { ...inputs, noise };
    },
  });
  await assert.rejects(finish(bad), {
    code: "DATA_LOSS",
    message:
      /^Stage "vae" stopped in step 4: Loss must be finite: current value is NaN\. The newest checkpoint/,
    details: { stage: "vae", step: "4" },
  });
  const names = await Array.fromAsync(Deno.readDir(temp.join("checkpoints")), ({ name }) => name);
  assert.deepEqual(names, ["step-0000002"]);
});
