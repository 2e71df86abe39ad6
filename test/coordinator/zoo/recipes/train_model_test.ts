import assert from "node:assert/strict";
import { initialWeights } from "../../../../coordinator/zoo/recipes/initial_weights.ts";
import { type ModelRun, trainModel } from "../../../../coordinator/zoo/recipes/train_model.ts";
import { trainableVae, vaeInputs } from "../../../../coordinator/zoo/recipes/vae_stage.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { smallContext } from "./small_recipe.ts";

async function finish(run: ModelRun): Promise<{ steps: number[]; weights: Float32Array }> {
  const events = trainModel(run);
  const steps: number[] = [];
  let next = await events.next();
  for (; !next.done; next = await events.next()) steps.push(next.value.step);
  return { steps, weights: next.value.average.data };
}

const stepFolders = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();

Deno.test("trainModel()", async (t) => {
  await using temp = await tempFolder();
  const context = await smallContext(temp.path);
  // Its graph takes longer to load than all steps here to run.
  await using model = trainableVae(context);
  const inputs = (first: number) => Promise.resolve(vaeInputs(context, first));
  /** From the beginning, if the folder has no checkpoint. */
  const run = (folder: string, changes: Partial<ModelRun> = {}): ModelRun => {
    model.trained.set(initialWeights(model.trained.shapes, context.recipe.seed));
    return {
      ...context.recipe.vae,
      ...{ stage: "vae", model, folder: temp.join(folder), settings: { seed: "3" } },
      ...{ checkpointEvery: 2, inputs },
      ...changes,
    };
  };

  await t.step("overfits one batch", async () => {
    const always = await inputs(0);
    const losses: number[] = [];
    const events = trainModel(run("overfit", {
      ...{ steps: 40, batch: 2, highestRate: 1e-2, checkpointEvery: 1000 },
      inputs: () => Promise.resolve(always),
    }));
    for await (const { loss } of events) losses.push(loss);
    assert.ok(losses.at(-1)! < 0.5 * losses[0]!, `${losses[0]} -> ${losses.at(-1)}`);
  });

  await t.step("goes on from a checkpoint to the same bits when it was abandoned", async () => {
    const expected = await finish(run("whole"));
    assert.deepEqual(expected.steps, [1, 2, 3, 4, 5, 6]);
    for await (const { step } of trainModel(run("cut"))) if (step === 3) break;
    const resumed = await finish(run("cut"));
    assert.deepEqual(resumed.steps, [3, 4, 5, 6]);
    assert.deepEqual(resumed.weights, expected.weights);
    // Nothing left to do: the result again.
    assert.deepEqual(await finish(run("cut")), { steps: [], weights: expected.weights });
  });

  await t.step("has the same bits whatever runs side by side", async () => {
    await using alone = trainableVae({ ...context, compute: { device: "cpu", threads: 1 } });
    const [two, one] = [
      await finish(run("two-lanes", { steps: 2 })),
      await finish(run("one-lane", { steps: 2, model: alone })),
    ];
    assert.deepEqual(one, two);
  });

  await t.step("leaves a checkpoint of its last step when it is cancelled", async () => {
    const controller = new AbortController();
    const events = trainModel(run("cancelled", { signal: controller.signal }));
    await assert.rejects(async () => {
      for await (const { step } of events) if (step === 3) controller.abort();
    }, { code: "CANCELLED" });
    const names = await stepFolders(temp.join("cancelled"));
    assert.deepEqual(names, ["step-0000002", "step-0000003"]);
  });

  await t.step("refuses to go on with other settings, by name", async () => {
    await finish(run("settings", { steps: 2 }));
    await assert.rejects(finish(run("settings", { steps: 4 })), {
      name: "FormatError",
      message: `A run goes on with its own settings: "steps" must be 2 as in "${
        temp.join("settings", "step-0000002")
      }": current value is 4`,
    });
  });

  await t.step("stops at a loss that is not finite, and keeps the checkpoint before", async () => {
    const bad = run("not-finite", {
      inputs: async (first) => {
        const good = await inputs(first);
        const noise = f32(good.noise!.shape);
        noise.data.fill(NaN);
        return first < 18 ? good : { ...good, noise };
      },
    });
    await assert.rejects(finish(bad), {
      code: "DATA_LOSS",
      message:
        /^Stage "vae" stopped in step 4: Loss must be finite: current value is NaN\. The newest checkpoint/,
      details: { stage: "vae", step: "4" },
    });
    assert.deepEqual(await stepFolders(temp.join("not-finite")), ["step-0000002"]);
  });
});
