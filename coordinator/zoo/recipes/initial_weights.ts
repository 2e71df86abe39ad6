/**
 * A model before training, as torch and transformers begin: layers by torch's defaults, embedding tables normal. Nothing of these
 * models is zero in diffusers, either.
 *
 * @module
 */

import type { F32Tensor, Shape } from "../../../shared/tensor/tensor.ts";
import { SeededDraws, seededNoise } from "../../training/seeded_draws.ts";
import { torchDefault } from "../../training/torch_defaults.ts";

/** Standard deviation of CLIP's embedding tables, `token_embedding` and `position_embedding` (transformers' `initializer_factor` 1). */
const EMBEDDING_DEVIATION = 0.02;

/** Each tensor follows from the seed and its own key. */
export function initialWeights(
  shapes: ReadonlyMap<string, Shape>,
  seed: bigint,
): ReadonlyMap<string, F32Tensor> {
  return new Map([...shapes].map(([key, shape]) => {
    if (!/(token|position)_embedding\.weight$/.test(key)) {
      return [key, torchDefault(key, shapes, new SeededDraws(seed, ["initial", key]))];
    }
    const table = seededNoise(seed, ["initial", key], shape);
    return [key, { ...table, data: table.data.map((z) => EMBEDDING_DEVIATION * z) }];
  }));
}
