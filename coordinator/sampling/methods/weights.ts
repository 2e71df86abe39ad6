/** Fixed weights of the experts: one each, one a block each, or weights that change over the steps. @module */

import { UsageError } from "../../../shared/errors.ts";
import type { BlockId } from "../../../shared/models/blocks.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Aggregation, AggregationConditioning, Aggregator } from "../aggregation.ts";
import type { MethodDefinition } from "./definition.ts";
import { featureMethod } from "./feature_method.ts";
import type { MethodStep } from "./method.ts";
import type { MethodOptions } from "./method_text.ts";

/** One number, one for each block, or the first and the last step's. */
export type Weight = number | readonly number[] | { readonly from: number; readonly to: number };

export const WEIGHTS: MethodDefinition = {
  name: "weights",
  aliases: ["weighted-average", "fixed-weights"],
  summary:
    "a weighted mean of the experts' features after every block: NAME=0.7,NAME=0.3, or a weight for each block as NAME=0.7/0.6/...",
  takesBlocks: true,
  example: (experts) =>
    experts.map((name, i) => `${name}=${i === 0 ? 0.7 : 0.3 / (experts.length - 1)}`).join(","),
  build(options, { experts, blocks, aggregated }) {
    const weights = weightsOf(options, experts);
    const odd = weights?.find((weight) => Array.isArray(weight) && weight.length !== blocks.length);
    if (!weights || odd !== undefined) {
      throw new UsageError(
        `Method weights needs a weight for each expert, as weights:${
          experts.map((name) => `${name}=${(1 / experts.length).toFixed(2)}`).join(",")
        }; one for each block is a list of ${blocks.length}`,
      );
    }
    if (weights.some((weight) => typeof weight === "object" && "from" in weight)) {
      throw new UsageError(
        "Method weights has the same weights in all steps: noise-average may change them",
      );
    }
    const ofBlock = new Map(
      blocks.map(({ id }, block) => [
        id,
        weights.map((weight) => Array.isArray(weight) ? weight[block]! : weight as number),
      ]),
    );
    return featureMethod({
      name: "weights",
      aggregator: new WeightedAggregator(ofBlock),
      experts: experts.length,
      blocks,
      aggregated,
      conditions: { method: `weights ${JSON.stringify(weights)}` },
    });
  },
};

/** `y = sum_i w_i f_i`, with weights of each block's own. */
class WeightedAggregator implements Aggregator {
  readonly name = "weights";
  readonly #weights: ReadonlyMap<BlockId, readonly number[]>;

  constructor(weights: ReadonlyMap<BlockId, readonly number[]>) {
    this.#weights = weights;
  }

  aggregate(
    block: BlockId,
    features: readonly F32Tensor[],
    _conditioning?: AggregationConditioning,
    into?: F32Tensor,
  ): Promise<Aggregation> {
    const weights = this.#weights.get(block)!;
    // The only expert that counts keeps its bits.
    const only = weights.indexOf(1);
    const aggregatedFeatures = only >= 0
      ? features[only]!
      : lincomb(features.map((each, i) => [weights[i]!, each] as const), into);
    return Promise.resolve({ aggregatedFeatures });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Weights must sum to 1 to this, so that thirds may be written with four digits. */
const SUM_TOLERANCE = 1e-3;

/**
 * A weight for each expert; those that are not named weigh nothing.
 *
 * @returns undefined where none is named
 * @throws {UsageError} if weights do not sum to 1: in every block, at the first step and at the last
 */
export function weightsOf(
  options: MethodOptions,
  experts: readonly string[],
): readonly Weight[] | undefined {
  const named = options.perExpertText();
  if (named.size === 0) return undefined;
  const weights = experts.map((name, i) => readWeight(name, named.get(i) ?? "0"));
  const lengths = weights.map((weight) => Array.isArray(weight) ? weight.length : 1);
  const count = Math.max(...lengths);
  for (let block = 0; block < count; block++) {
    for (const end of ["from", "to"] as const) {
      const sum = weights.reduce<number>((total, weight) => total + at(weight, block, end), 0);
      if (Math.abs(sum - 1) <= SUM_TOLERANCE) continue;
      throw new UsageError(
        `Weights of the experts must sum to 1: current sum is ${Number(sum.toFixed(4))}` +
          (count > 1 ? ` in block ${block}` : ""),
      );
    }
  }
  return weights;
}

/** Of a step: its own share of the way from the first to the last. */
export function shareOf(weight: Weight, { stepIndex, stepCount }: MethodStep): number {
  if (typeof weight === "number" || !("from" in weight)) return at(weight, 0, "from");
  const done = stepCount === 1 ? 0 : stepIndex / (stepCount - 1);
  return weight.from + done * (weight.to - weight.from);
}

function at(weight: Weight, block: number, end: "from" | "to"): number {
  if (typeof weight === "number") return weight;
  return "from" in weight ? weight[end] : weight[block] ?? NaN;
}

function readWeight(expert: string, text: string): Weight {
  const number = (part: string) => {
    const value = Number(part);
    if (part.trim() !== "" && Number.isFinite(value)) return value;
    throw new UsageError(
      `The weight of expert "${expert}" must be a number, numbers as 0.7/0.6 or a change as 0.9>0.1: ` +
        `current value is "${text}"`,
    );
  };
  const [from, to, ...more] = text.split(">");
  if (to !== undefined && more.length === 0) return { from: number(from!), to: number(to) };
  const parts = text.split("/").map(number);
  return parts.length === 1 ? parts[0]! : parts;
}
