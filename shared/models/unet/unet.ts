/** The whole U-Net as a part of one graph: for training it, where every step needs all of it. @module */

import { i64 } from "../../tensor/tensor.ts";
import type { GraphBuilder, Value } from "../../onnx/graph.ts";
import type { UNetConfig } from "../config/unet_config.ts";
import type { Weights } from "../weights.ts";
import { unetBlock, type UpsamplingTarget } from "./block_graph.ts";
import { unetBlockTable } from "./block_table.ts";
import { timeEmbedding } from "./time_embedding.ts";

export interface UNetInputs {
  /** f32 `[B, 4, H, W]`, H and W known. */
  readonly latents: Value;
  /** Sinusoids of the rows' timesteps (`timestepEmbedding()`), f32 `[B, C0]`. */
  readonly timeProj: Value;
  /** f32 `[B, L, D]` */
  readonly encoderHiddenStates: Value;
}

/** @returns the noise prediction, f32 `[B, 4, H, W]`; attention is in primitive operations, to be differentiated */
export function unetNoise(
  g: GraphBuilder,
  config: UNetConfig,
  weights: Weights,
  { latents, timeProj, encoderHiddenStates }: UNetInputs,
): Value {
  const temb = timeEmbedding(g, config, weights, timeProj);
  /** Outputs of the IN blocks, the newest last. */
  const residuals: Value[] = [];
  let hiddenStates = latents;
  for (const block of unetBlockTable(config)) {
    const residual = block.skipFrom === undefined ? undefined : residuals.pop()!;
    // As large as the next skip.
    const target = block.upsampler ? targetLike(g, residuals.at(-1)!) : undefined;
    hiddenStates = unetBlock(g, block, config, weights, {
      ...{ hiddenStates, temb, encoderHiddenStates },
      ...(residual && { residual }),
      ...(target && { target }),
    }, "primitive");
    if (block.id.startsWith("IN")) residuals.push(hiddenStates);
  }
  return hiddenStates;
}

function targetLike(g: GraphBuilder, { shape }: Value): UpsamplingTarget {
  const [, , height, width] = shape as readonly number[];
  return { size: g.constant(i64([2], [height!, width!]), "size"), dims: [height!, width!] };
}
