/**
 * Writes an untrained SABW for any experts, in the layout of the paper's code: random weights, or weights
 * that see no difference between the experts.
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BlockSpec } from "../../shared/models/blocks.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { f32, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";
import { randomTensor } from "./expert_inputs.ts";

export interface RandomSabwOptions {
  readonly blocks: readonly BlockSpec[];
  readonly numExperts: number;
  /** Dt */
  readonly timeEmbedDim: number;
  /** D */
  readonly crossAttentionDim: number;
  /** Without it the attention logits are 0, so every expert weighs the same. @default true */
  readonly logits?: boolean;
}

const HIDDEN = 16;

export async function writeRandomSabw(folder: string, options: RandomSabwOptions): Promise<void> {
  const { blocks, numExperts, timeEmbedDim, crossAttentionDim, logits = true } = options;
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "model_config.json"),
    JSON.stringify({ num_models: numExperts, num_aggregators: blocks.length }),
  );
  for (const [j, { outChannels }] of blocks.entries()) {
    const aggregator = join(folder, `aggregator_${j}`);
    await mkdir(aggregator, { recursive: true });
    const config = {
      in_channels: outChannels,
      num_experts: numExperts,
      cross_attn_dim: crossAttentionDim,
      temb_channels: timeEmbedDim,
      hidden_size: HIDDEN,
      num_attn_heads: 2,
      num_layers: 1,
      norm_num_groups: 4,
    };
    await writeFile(join(aggregator, "config.json"), JSON.stringify(config));
    const shapes = aggregatorShapes(outChannels, options);
    const tensors = Object.entries(shapes).map(([key, shape], i): [string, Tensor] => {
      if (key === "conv_out.weight" && !logits) return [key, f32(shape)];
      const { data } = randomTensor(shape, 1000 * j + i + 1);
      // Norms keep their scale; everything else gets a gain near 1.
      const isNorm = /norm\d?\.weight$/.test(key);
      const gain = isNorm ? 0.1 : 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1));
      return [key, f32(shape, data.map((value) => (isNorm ? 1 : 0) + gain * value))];
    });
    await writeSafetensors(
      join(aggregator, "aggregator.safetensors"),
      Object.fromEntries(tensors),
    );
  }
}

function aggregatorShapes(
  channels: number,
  { numExperts, timeEmbedDim, crossAttentionDim }: RandomSabwOptions,
): Record<string, Shape> {
  const vector = [HIDDEN];
  const matrix = [HIDDEN, HIDDEN];
  const block = "transformer.transformer_blocks.0";
  const attention = (name: string, width: number): Record<string, Shape> => ({
    [`${block}.${name}.to_q.weight`]: matrix,
    [`${block}.${name}.to_k.weight`]: [HIDDEN, width],
    [`${block}.${name}.to_v.weight`]: [HIDDEN, width],
    [`${block}.${name}.to_out.0.weight`]: matrix,
    [`${block}.${name}.to_out.0.bias`]: vector,
  });
  const norms = ["res_block.norm1", "res_block.norm2", "transformer.norm"]
    .concat([1, 2, 3].map((i) => `${block}.norm${i}`));
  return {
    "conv_in.weight": [HIDDEN, numExperts * channels, 1, 1],
    "conv_in.bias": vector,
    ...Object.fromEntries(
      norms.flatMap((name) => [[`${name}.weight`, vector], [`${name}.bias`, vector]]),
    ),
    "res_block.conv1.weight": [...matrix, 3, 3],
    "res_block.conv1.bias": vector,
    "res_block.time_emb_proj.weight": [HIDDEN, timeEmbedDim],
    "res_block.time_emb_proj.bias": vector,
    "res_block.conv2.weight": [...matrix, 3, 3],
    "res_block.conv2.bias": vector,
    "transformer.proj_in.weight": [...matrix, 1, 1],
    "transformer.proj_in.bias": vector,
    ...attention("attn1", HIDDEN),
    ...attention("attn2", crossAttentionDim),
    [`${block}.ff.net.0.proj.weight`]: [8 * HIDDEN, HIDDEN],
    [`${block}.ff.net.0.proj.bias`]: [8 * HIDDEN],
    [`${block}.ff.net.2.weight`]: [HIDDEN, 4 * HIDDEN],
    [`${block}.ff.net.2.bias`]: vector,
    "transformer.proj_out.weight": [...matrix, 1, 1],
    "transformer.proj_out.bias": vector,
    "conv_out.weight": [numExperts, HIDDEN, 1, 1],
  };
}
