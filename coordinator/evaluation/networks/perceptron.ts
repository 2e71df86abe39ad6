/** Linear layers one after the other, without activations between them, as AES and ImageReward end. @module */

import type { Weights, WeightTable } from "../../../shared/models/weights.ts";
import { linear } from "../../../shared/models/layers/linear.ts";
import type { GraphBuilder, Value } from "../../../shared/onnx/graph.ts";

/** Layers with weights are these of `layers.N`: what lies between them is dropout, which scoring has none of. */
const LAYERS = [0, 2, 4, 6, 7];

/**
 * @param x f32 `[B, D]`
 * @param table that tells each layer's width
 * @param prefix of the keys in the table
 * @returns f32 `[B, 1]`
 */
export function linearStack(
  g: GraphBuilder,
  weights: Weights,
  x: Value,
  { table, prefix }: { readonly table: WeightTable; readonly prefix: string },
): Value {
  return LAYERS.reduce((value, layer) => {
    const outFeatures = table.get(`${prefix}layers.${layer}.weight`)?.shape[0] ?? 1;
    return linear(g, weights.scope("layers", layer), value, outFeatures);
  }, x);
}
