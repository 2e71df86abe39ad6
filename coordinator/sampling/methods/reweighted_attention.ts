/**
 * SABW's weights, changed before the features are summed. All changes are of the softmax's logits F, and need no more than its
 * result A: softmax(F / T) is A^(1/T) over its sum, and a bias b on one logit is a factor e^b on its weight.
 *
 * @module
 */

import type { BlockId } from "../../../shared/models/blocks.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "../aggregation.ts";

export interface Reweighting {
  /** T: below 1 sharper, above 1 more even; 1 changes nothing. */
  readonly temperature: number;
  /** At each pixel only so many experts of largest weight count. */
  readonly top: number;
  /** Index of an expert that does not count: the softmax over the others. */
  readonly without: number | null;
  /** Added to the logit of one expert. */
  readonly bias: { readonly expert: number; readonly value: number } | null;
}

/** Whether the weights of so many experts stay as they are. */
export function isUnchanged(
  { temperature, top, without, bias }: Reweighting,
  experts: number,
): boolean {
  return temperature === 1 && top >= experts && without === null && (bias?.value ?? 0) === 0;
}

export class ReweightedAggregator implements Aggregator {
  readonly name: string;
  readonly #sabw: Aggregator;
  readonly #reweighting: Reweighting;

  /** @param sabw closed by whoever opened it */
  constructor(sabw: Aggregator, reweighting: Reweighting) {
    this.name = sabw.name;
    this.#sabw = sabw;
    this.#reweighting = reweighting;
  }

  async aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const { attentionMap } = await this.#sabw.aggregate(block, features, conditioning);
    const changed = reweighted(attentionMap!, this.#reweighting);
    return { aggregatedFeatures: weightedSum(features, changed, into), attentionMap: changed };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** @param map f32 `[B, N, H, W]`, sums to 1 over N, as the result does */
export function reweighted(
  map: F32Tensor,
  { temperature, top, without, bias }: Reweighting,
): F32Tensor {
  const [batch, experts, height, width] = map.shape as [number, number, number, number];
  const size = height * width;
  const result = f32(map.shape);
  const logits = new Float64Array(experts);
  for (let b = 0; b < batch; b++) {
    for (let pixel = 0; pixel < size; pixel++) {
      const at = (expert: number) => (b * experts + expert) * size + pixel;
      for (let i = 0; i < experts; i++) {
        const logit = Math.log(map.data[at(i)]!) + (bias?.expert === i ? bias.value : 0);
        logits[i] = i === without ? -Infinity : logit / temperature;
      }
      const least = logits.toSorted().at(-Math.min(top, experts))!;
      const largest = logits.reduce((a, b) => Math.max(a, b));
      let sum = 0;
      for (let i = 0; i < experts; i++) {
        logits[i] = logits[i]! < least ? 0 : Math.exp(logits[i]! - largest);
        sum += logits[i]!;
      }
      for (let i = 0; i < experts; i++) result.data[at(i)] = logits[i]! / sum;
    }
  }
  return result;
}

/** `y = sum_i A_i f_i` at every pixel, the same in all channels (the paper's Eq. 8). */
export function weightedSum(
  features: readonly F32Tensor[],
  map: F32Tensor,
  into?: F32Tensor,
): F32Tensor {
  const [batch, channels, height, width] = features[0]!.shape as [number, number, number, number];
  const result = into ?? f32(features[0]!.shape);
  const size = height * width, experts = features.length;
  for (let row = 0; row < batch * channels; row++) {
    const image = Math.floor(row / channels);
    for (let pixel = 0; pixel < size; pixel++) {
      let sum = 0;
      for (let i = 0; i < experts; i++) {
        sum += map.data[(image * experts + i) * size + pixel]! *
          features[i]!.data[row * size + pixel]!;
      }
      result.data[row * size + pixel] = sum;
    }
  }
  return result;
}
