/**
 * SABW that is kept from dropping experts while it trains (`docs/spec.md`, "Routing"): its gradients also
 * make two penalties small, means over the aggregated blocks. The loss that is reported does not count them.
 *
 * - balance: `N sum_i (m_i - 1/N)^2`, m_i the mean weight of expert i over rows and pixels. 0 if all are used alike, N - 1 if one has all.
 * - certainty: `1 - H(A) / ln N`, H the mean entropy of a pixel's weights. 0 if they are equal, 1 if one expert has all.
 *
 * @module
 */

import type { BlockId } from "../../shared/models/blocks.ts";
import { copyTensor, f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "../sampling/aggregation.ts";
import type { AggregationGradients, DifferentiableAggregator } from "./ensemble_backward.ts";
import type { TrainableSabw } from "./trainable_sabw.ts";

/** How much a penalty counts beside the loss; 0 turns it off. */
export interface PenaltyWeights {
  readonly balance: number;
  readonly certainty: number;
}

/** A pixel's weight of 0 has no logarithm. */
const LEAST_WEIGHT = 1e-12;

/**
 * Both penalties of one map and their gradient.
 *
 * @param map A, f32 `[B, N, h, w]`
 * @returns gradient in the map's shape
 */
export function attentionPenalty(
  map: F32Tensor,
  { balance, certainty }: PenaltyWeights,
): { readonly penalty: number; readonly gradient: F32Tensor } {
  const [batch, experts, height, width] = map.shape as [number, number, number, number];
  const pixels = height * width;
  const gradient = f32(map.shape);
  if (experts < 2) return { penalty: 0, gradient };
  const count = batch * pixels;
  const means = new Array<number>(experts).fill(0);
  const expertOf = (k: number) => Math.floor(k / pixels) % experts;
  map.data.forEach((value, k) => means[expertOf(k)]! += value / count);
  const uneven = experts * means.reduce((sum, mean) => sum + (mean - 1 / experts) ** 2, 0);
  const scale = 1 / (count * Math.log(experts));
  let entropy = 0;
  for (let k = 0; k < map.data.length; k++) {
    const logarithm = Math.log(Math.max(LEAST_WEIGHT, map.data[k]!));
    entropy -= scale * map.data[k]! * logarithm;
    gradient.data[k] = balance * 2 * experts * (means[expertOf(k)]! - 1 / experts) / count +
      certainty * scale * (logarithm + 1);
  }
  return { penalty: balance * uneven + certainty * (1 - entropy), gradient };
}

export class PenalizedSabw implements Aggregator, DifferentiableAggregator {
  readonly #sabw: TrainableSabw;
  readonly #weights: PenaltyWeights;
  /** Of the pass that is under way. */
  readonly #maps = new Map<BlockId, F32Tensor>();

  /** @param blockCount aggregated blocks: each has its part of the penalty */
  constructor(sabw: TrainableSabw, { balance, certainty }: PenaltyWeights, blockCount: number) {
    this.#sabw = sabw;
    this.#weights = { balance: balance / blockCount, certainty: certainty / blockCount };
  }

  get name(): string {
    return this.#sabw.name;
  }

  async aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const aggregation = await this.#sabw.aggregate(block, features, conditioning, into);
    this.#maps.set(block, copyTensor(aggregation.attentionMap!));
    return aggregation;
  }

  backward(
    block: BlockId,
    features: readonly F32Tensor[],
    conditioning: AggregationConditioning,
    gradAggregated: F32Tensor,
  ): Promise<AggregationGradients> {
    const { gradient } = attentionPenalty(this.#maps.get(block)!, this.#weights);
    return this.#sabw.backward(block, features, conditioning, gradAggregated, gradient);
  }

  close(): Promise<void> {
    return this.#sabw.close();
  }
}
