/**
 * 8-bit weights that come with scales: a weight is its bytes times one number, or one per row. Tools call the number
 * `weight_scale` or `scale_weight`, and keep others beside it that say how inputs could be rounded: those change nothing
 * where nothing is rounded.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { WeightLocation, WeightTable } from "../models/weights.ts";
import { elementCount } from "../tensor/tensor.ts";

/** Key of a scale: the weight's, but for its end. */
export const SCALE = /^(.+\.)(?:weight_scale|scale_weight)$/;
const UNUSED = /(^|\.)(input_scale|scale_input|scaled_fp8|comfy_quant)$/;

/**
 * @param table a part's tensors
 * @returns the table in which scales are a part of the weights that they belong to
 * @throws {FormatError} if a scale is neither one number nor one per row
 */
export function withScales(table: WeightTable): WeightTable {
  if (!table.keys().some((key) => SCALE.test(key) || UNUSED.test(key))) return table;
  const scaled = new Map<string, WeightLocation>();
  for (const [key, location] of table) {
    if (!SCALE.test(key) && !UNUSED.test(key)) scaled.set(key, location);
  }
  for (const [key, scale] of table) {
    const [, layer] = SCALE.exec(key) ?? [];
    if (layer === undefined) continue;
    const weight = scaled.get(`${layer}weight`);
    // A scale of nothing is reported as unused, as any other tensor that belongs nowhere.
    if (!weight) scaled.set(key, scale);
    else {
      const count = elementCount(scale.shape);
      if (count !== 1 && count !== weight.shape[0]) {
        throw new FormatError(
          `Tensor "${key}" must be one number or one per row of [${weight.shape}]: ` +
            `current shape is [${scale.shape}]`,
        );
      }
      scaled.set(`${layer}weight`, { ...weight, scale: { ...scale, shape: [count] } });
    }
  }
  return scaled;
}
