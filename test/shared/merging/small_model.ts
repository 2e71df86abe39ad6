/** Checkpoints of a few numbers that merging takes for whole ones. @module */

import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, type Tensor } from "../../../shared/tensor/tensor.ts";

const UNET = "model.diffusion_model.";
/** Only SD1.5 has such a block, and only SDXL such an embedding. */
const MARKS = {
  sd15: `${UNET}output_blocks.11.0.skip_connection.weight`,
  sdxl: `${UNET}label_emb.0.0.weight`,
} as const;

/** A key of the U-Net's first block. */
export const IN00 = `${UNET}input_blocks.0.0.weight`;
export const M00 = `${UNET}middle_block.0.in_layers.0.bias`;
export const TEXT = "cond_stage_model.transformer.text_model.final_layer_norm.weight";

export interface SmallModelOptions {
  readonly family?: keyof typeof MARKS;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** @param tensors numbers become f32 */
export async function writeSmallModel(
  path: string,
  tensors: Readonly<Record<string, Tensor | readonly number[]>>,
  { family = "sd15", metadata }: SmallModelOptions = {},
): Promise<string> {
  const own = Object.entries(tensors).map(([key, tensor]) =>
    [key, "dtype" in tensor ? tensor : f32([tensor.length], tensor)] as const
  );
  await writeSafetensors(
    path,
    { [MARKS[family]]: f32([1], [0]), ...Object.fromEntries(own) },
    metadata,
  );
  return path;
}
