/** A recipe whose models are as small as models can be: for tests of what surrounds them. @module */

import { join } from "node:path";
import {
  BUNDLED_ZOO,
  type ZooRecipe,
  zooRecipe,
} from "../../../../coordinator/zoo/recipes/recipe.ts";
import type { StageContext } from "../../../../coordinator/zoo/recipes/stage_context.ts";
import { ClipTokenizer } from "../../../../shared/tokenizer/clip_tokenizer.ts";

/** Two micro-batches side by side. */
const CPU = { device: "cpu", threads: 2 } as const;

/** Two levels with one layer, pictures of 16 pixels. */
export async function smallRecipe(changes: Partial<ZooRecipe> = {}): Promise<ZooRecipe> {
  const { compareWith: _, ...whole } = await zooRecipe(3n, 1);
  const { unet, text, vae } = whole.configs;
  // Three micro-batches: two side by side, then one.
  const short = { batch: 6, microBatch: 2, steps: 6 };
  return {
    ...whole,
    configs: {
      family: "sd15",
      unet: {
        ...unet,
        ...{ blockOutChannels: [8, 16], layersPerBlock: 1, crossAttentionDim: 16 },
        ...{ downAttention: [true, false], upAttention: [false, true] },
        ...{ numHeads: [2, 2], transformerLayers: [1, 1], normNumGroups: 4 },
      },
      text: { ...text, hiddenSize: 16, intermediateSize: 32, numLayers: 1, numHeads: 2 },
      vae: { ...vae, blockOutChannels: [8, 8], normNumGroups: 4 },
    },
    imageSize: 16,
    vae: { ...whole.vae, ...short },
    base: { ...whole.base, ...short, pictures: 12 },
    expert: { ...whole.expert, ...short, pictures: 12 },
    heldOut: 8,
    checkpointEvery: 2,
    ...changes,
  };
}

export async function smallContext(
  out: string,
  changes: Partial<ZooRecipe> = {},
): Promise<StageContext> {
  return {
    ...{ recipe: await smallRecipe(changes), out, compute: CPU },
    tokenizer: await ClipTokenizer.load(join(BUNDLED_ZOO, "tokenizer")),
  };
}
