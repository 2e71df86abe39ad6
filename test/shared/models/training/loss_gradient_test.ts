import assert from "node:assert/strict";
import { Lane } from "../../../../shared/lane/lane.ts";
import { vaeFactor } from "../../../../shared/models/config/vae_config.ts";
import { denoiserLossGraph } from "../../../../shared/models/training/denoiser_loss.ts";
import { lossGradientGraph } from "../../../../shared/models/training/loss_gradient.ts";
import { vaeLossGraph } from "../../../../shared/models/training/vae_loss.ts";
import type { Graph } from "../../../../shared/onnx/graph.ts";
import {
  f32,
  type F32Tensor,
  i64,
  type Shape,
  type Tensor,
} from "../../../../shared/tensor/tensor.ts";
import { smallRecipe } from "../../../coordinator/zoo/recipes/small_recipe.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { type Inputs, runLoaded, runOn } from "../../onnx/run_graph.ts";

/** How much each of two rows counts. */
const SHARES = f32([2, 1, 1, 1], [0.3, 0.7]);
const STEP = 2e-3;

/** Holds the gradient by all weights together against differences along one random direction of all of them. */
async function checkWholeModel(graph: Graph, data: Inputs): Promise<void> {
  const weights = graph.inputs.filter(({ name }) => !(name in data));
  const keys = weights.map(({ name }) => name);
  const values = new Map(weights.map(({ name, shape }, i) => {
    // Around 1 for norms, else small, so that no layer is saturated.
    const isScale = shape.length === 1 && name.endsWith("weight");
    const { data } = randomTensor(shape as Shape, i + 1);
    return [name, data.map((value) => isScale ? 1 + 0.2 * value : 0.3 * value)] as const;
  }));
  const direction = new Map(
    weights.map(({ name, shape }, i) => [name, randomTensor(shape as Shape, 1000 + i).data]),
  );
  const at = (t: number): Inputs => ({
    ...data,
    ...Object.fromEntries(weights.map(({ name, shape }) => {
      const along = direction.get(name)!;
      return [
        name,
        f32(shape as Shape, values.get(name)!.map((value, k) => value + t * along[k]!)),
      ];
    })),
  });
  await using lane = new Lane({ device: "cpu", threads: 1 });
  const gradients = await runOn(lane, lossGradientGraph(graph, keys), {
    ...at(0),
    grad_losses: SHARES,
  });
  const { losses } = await runOn(lane, graph, at(0));
  assert.deepEqual(gradients.losses!.shape, losses!.shape);
  let slope = 0;
  for (const name of keys) {
    const gradient = (gradients[`grad_${name}`] as F32Tensor).data;
    slope += gradient.reduce((sum, value, k) => sum + value * direction.get(name)![k]!, 0);
  }
  const loss = async (t: number) => weighted((await runLoaded(lane, graph, at(t))).losses!);
  const [far, near] = [
    await loss(2 * STEP) - await loss(-2 * STEP),
    await loss(STEP) - await loss(-STEP),
  ];
  const expected = (8 * near - far) / (12 * STEP);
  const error = Math.abs(slope - expected) / Math.abs(expected);
  // The loss is known to 1e-6 of itself, and changes by a hundredth along a step.
  assert.ok(error < 2e-3, `slope ${slope} is not ${expected}: ${error}`);
}

const weighted = (losses: Tensor): number =>
  (losses as F32Tensor).data.reduce((sum, value, b) => sum + SHARES.data[b]! * value, 0);

Deno.test("text encoder and U-Net: the gradient by all weights", async () => {
  const { configs: { unet, text } } = await smallRecipe();
  const latents = [2, 4, 4, 4];
  const ids = Array.from({ length: 2 * text.maxLength }, (_, i) => (7 * i) % text.vocabSize);
  await checkWholeModel(denoiserLossGraph({ unet, text }, { batch: 2, latentSize: 4 }), {
    latents: randomTensor(latents, 901),
    target: randomTensor(latents, 902),
    time_proj: randomTensor([2, unet.blockOutChannels[0]!], 903),
    input_ids: i64([2, text.maxLength], ids),
  });
});

Deno.test("VAE: the gradient by all weights", async () => {
  const { configs: { vae } } = await smallRecipe();
  await checkWholeModel(vaeLossGraph(vae, vaeFactor(vae), { batch: 2, imageSize: 8 }), {
    // Far from what the decoder makes: where it crosses the image, the loss has a corner.
    image: f32([2, 3, 8, 8], randomTensor([2, 3, 8, 8], 904).data.map((value) => 8 + value)),
    noise: randomTensor([2, 4, 4, 4], 905),
  });
});
