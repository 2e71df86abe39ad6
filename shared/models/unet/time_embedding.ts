/**
 * From timestep to `temb` (diffusers `models/embeddings.py`): a sinusoid, computed here in f64, then
 * the model's own MLP as a graph.
 *
 * @module
 */

import { type Graph, GraphBuilder, type Value } from "../../onnx/graph.ts";
import { Add } from "../../onnx/ops/elementwise.ts";
import { f32, type F32Tensor } from "../../tensor/tensor.ts";
import type { UNetConfig } from "../config/unet_config.ts";
import { linear, silu } from "../layers/linear.ts";
import type { Weights } from "../weights.ts";
import { timeEmbedDim } from "./block_graph.ts";

/** Longest wavelength of the sinusoids, as in "Attention Is All You Need". */
const MAX_PERIOD = 10000;

/**
 * `[cos(t f_k), sin(t f_k)]` with `f_k = 10000^(-k / (half - freqShift))`, k < half = dim / 2; sine first
 * without `flipSinToCos`.
 *
 * @returns f32 `[T, dim]`
 */
export function timestepEmbedding(
  timesteps: readonly number[],
  dim: number,
  { flipSinToCos, freqShift }: Pick<UNetConfig, "flipSinToCos" | "freqShift">,
): F32Tensor {
  const half = dim / 2;
  const result = f32([timesteps.length, dim]);
  timesteps.forEach((timestep, row) => {
    for (let k = 0; k < half; k++) {
      const angle = timestep * Math.exp(-Math.log(MAX_PERIOD) * k / (half - freqShift));
      const [cos, sin] = flipSinToCos ? [0, half] : [half, 0];
      result.data[row * dim + cos + k] = Math.cos(angle);
      result.data[row * dim + sin + k] = Math.sin(angle);
    }
  });
  return result;
}

/**
 * `linear_2(silu(linear_1(sinusoid)))`, plus SDXL's `add_embedding` of pooled text and sizes.
 * Inputs: `time_proj` f32 `[T, C0]` and, for SDXL, `added_cond` f32 `[T, inputDim]` (pooled text, then the
 * sinusoids of the six sizes). Output: `temb` f32 `[T, Dt]`.
 */
export function timeEmbeddingGraph(config: UNetConfig, weights: Weights): Graph {
  const g = new GraphBuilder("time_embedding");
  const timeProj = g.input("time_proj", "float32", ["T", config.blockOutChannels[0]!]);
  const addedCond = config.addition
    ? g.input("added_cond", "float32", ["T", config.addition.inputDim])
    : undefined;
  g.output("temb", timeEmbedding(g, config, weights, timeProj, addedCond));
  return g.build();
}

/** The same as a part of a graph. */
export function timeEmbedding(
  g: GraphBuilder,
  config: UNetConfig,
  weights: Weights,
  timeProj: Value,
  addedCond?: Value,
): Value {
  const width = timeEmbedDim(config);
  const mlp = (scope: Weights, x: Value) =>
    linear(
      g,
      scope.scope("linear_2"),
      silu(g, linear(g, scope.scope("linear_1"), x, width)),
      width,
    );
  const temb = mlp(weights.scope("time_embedding"), timeProj);
  return addedCond ? Add(g, temb, mlp(weights.scope("add_embedding"), addedCond)) : temb;
}
