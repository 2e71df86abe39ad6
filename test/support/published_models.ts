/** The published models as keys and shapes of their single files, to make relatives and wrappings of. @module */

import type { Shape } from "../../shared/tensor/tensor.ts";
import { readKeyTable } from "../shared/models/key_tables.ts";
import type { SparseTensor } from "./sparse_file.ts";

export type KeyedShapes = Readonly<Record<string, Shape>>;

export const UNET = "model.diffusion_model.";

export interface PublishedModels {
  readonly sd15: KeyedShapes;
  readonly sd15Unet: KeyedShapes;
  /** Under diffusers names. */
  readonly sd15DiffusersUnet: KeyedShapes;
  readonly vae: KeyedShapes;
  readonly sdxl: KeyedShapes;
  readonly sdxlUnet: KeyedShapes;
}

export async function publishedModels(): Promise<PublishedModels> {
  const tables = await Promise.all(
    ["sd15_unet", "sdxl_unet", "kl_f8_vae", "clip_l_text"].map(async (name) => {
      const rows = await readKeyTable(name);
      return Object.fromEntries(rows.map(({ singleFileKey, shape }) => [singleFileKey, shape]));
    }),
  );
  const [sd15Unet, sdxlUnet, vae, text] = tables as [
    KeyedShapes,
    KeyedShapes,
    KeyedShapes,
    KeyedShapes,
  ];
  const firstText = renamedKeys(
    text,
    (key) => key.replace("cond_stage_model.", "conditioner.embedders.0."),
  );
  const rows = await readKeyTable("sd15_unet");
  return {
    sd15: { ...sd15Unet, ...vae, ...text },
    sd15Unet,
    sd15DiffusersUnet: Object.fromEntries(
      rows.map(({ diffusersKey, shape }) => [diffusersKey, shape]),
    ),
    vae,
    sdxl: { ...sdxlUnet, ...vae, ...firstText, ...openClip("conditioner.embedders.1.model.") },
    sdxlUnet,
  };
}

/** A text encoder in OpenCLIP's names. */
export function openClip(prefix: string, { width = 1280, layers = 32 } = {}): KeyedShapes {
  const shapes: Record<string, Shape> = {
    "token_embedding.weight": [49408, width],
    positional_embedding: [77, width],
    "ln_final.weight": [width],
    "ln_final.bias": [width],
    text_projection: [width, width],
    logit_scale: [],
  };
  for (let i = 0; i < layers; i++) {
    const layer = `transformer.resblocks.${i}.`;
    const matrices = {
      "attn.in_proj_": [3 * width, width],
      "attn.out_proj.": [width, width],
      "mlp.c_fc.": [4 * width, width],
      "mlp.c_proj.": [width, 4 * width],
    };
    for (const [name, shape] of Object.entries(matrices)) {
      shapes[`${layer}${name}weight`] = shape;
      shapes[`${layer}${name}bias`] = [shape[0]!];
    }
    for (const name of ["ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"]) {
      shapes[layer + name] = [width];
    }
  }
  return renamedKeys(shapes, (key) => prefix + key);
}

export function renamedKeys(shapes: KeyedShapes, rename: (key: string) => string): KeyedShapes {
  return Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [rename(key), shape]));
}

export function filteredKeys(shapes: KeyedShapes, isKept: (key: string) => boolean): KeyedShapes {
  return Object.fromEntries(Object.entries(shapes).filter(([key]) => isKept(key)));
}

export function inDtype(shapes: KeyedShapes, dtype = "F16"): Record<string, SparseTensor> {
  return Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, [dtype, shape]]));
}
