/**
 * SABW while it is trained: its weights are inputs of the graphs, since each step changes them, and its gradient is a graph of
 * all of them and of the features.
 *
 * @module
 */

import type { Graph } from "../onnx/graph.ts";
import { vjpGraph } from "../onnx/vjp.ts";
import type { Shape } from "../tensor/tensor.ts";
import type { SabwConfig } from "./config/sabw_config.ts";
import { sabwGraph } from "./sabw.ts";
import { Weights } from "./weights.ts";

/** As `sabwGraph()`, with the weights as further inputs under their keys. */
export function trainableSabwGraph(name: string, config: SabwConfig): Graph {
  return sabwGraph(name, config, Weights.asInputs());
}

/** Key -> shape of every weight. */
export function sabwParameters(config: SabwConfig): ReadonlyMap<string, Shape> {
  const weights = Weights.asInputs();
  sabwGraph("sabw", config, weights);
  return weights.demanded;
}

/**
 * Inputs: those of `trainableSabwGraph()`, `grad_attention_map` f32 `[B, N, H, W]` and `grad_aggregated_features` f32
 * `[B, C, H, W]`. Outputs: `grad_features_0` .. `grad_features_{N-1}`, then `grad_<key>` of every weight.
 */
export function sabwVjpGraph(name: string, config: SabwConfig): Graph {
  const weights = Weights.asInputs();
  const graph = sabwGraph(name, config, weights, "primitive");
  const features = Array.from({ length: config.numExperts }, (_, i) => `features_${i}`);
  return vjpGraph(graph, { wrt: [...features, ...weights.demanded.keys()] });
}
