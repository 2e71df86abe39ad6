/**
 * A region of the picture for each expert, as boxes or painted masks: at each latent pixel the experts' noises are weighed by
 * who plays there. Each expert sees the whole picture at every step, so what it draws fits what is around.
 *
 * @module
 */

import { UsageError } from "../../../../shared/errors.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { aggregationPlan } from "../../aggregation_plan.ts";
import type { NoisePrediction } from "../../guidance.ts";
import type { MethodContext, MethodDefinition } from "../definition.ts";
import type { MethodOptions } from "../method_text.ts";
import { maskCoverage, refuseMaskOfJob } from "./mask.ts";
import { boxCoverage, regionWeights } from "./region_weights.ts";
import { isMaskPath, parseRegion, type RegionText } from "./region_text.ts";

export const REGIONS: MethodDefinition = {
  name: "regions",
  aliases: ["regional"],
  summary:
    "a region of the picture for each expert: NAME=0/0/0.5/1 (left/top/right/bottom in shares) or NAME=mask.png (white), feather=0.1, rest=NAME",
  example: (experts) => {
    // Three digits are enough for an example, and can be read.
    const edge = (i: number) => Number((i / experts.length).toFixed(3));
    return experts.map((name, i) => `${name}=${edge(i)}/0/${edge(i + 1)}/1`).join(",");
  },
  files: ({ options }) => [...options.values()].filter(isMaskPath),
  build(options, context) {
    const { experts, blocks, picture } = context;
    const feather = options.number("feather", { min: 0, max: 1 }) ?? 0;
    const rest = options.expert("rest");
    const regions = readRegions(options, experts);
    const coverage = experts.map((name, i) => coverageOf(name, regions.get(i), context));
    const weights = regionWeights(coverage, picture, { rest, feather });
    // Who plays nowhere is not asked.
    const asked = weights.flatMap((own, i) => own.some((weight) => weight > 0) ? [i] : []);
    const plan = { experts: asked, segments: aggregationPlan(blocks, "noise") };
    const askedWeights = asked.map((i) => weights[i]!);
    return {
      name: "regions",
      conditions: {
        method: `regions ${JSON.stringify({ regions: boxesOf(regions), feather, rest })}`,
        ...maskHashes(regions, context),
      },
      plan: () => plan,
      combineNoise: (predictions) => weighRegions(predictions, askedWeights),
    };
  },
};

function readRegions(
  options: MethodOptions,
  experts: readonly string[],
): ReadonlyMap<number, RegionText> {
  const named = [...options.perExpertText()];
  if (named.length === 0) {
    throw new UsageError(
      `Method regions needs a region for an expert, as regions:${REGIONS.example!(experts)}`,
    );
  }
  return new Map(named.map(([expert, text]) => [expert, parseRegion(experts[expert]!, text)]));
}

/** @throws {UsageError} if the region is of no latent pixel, or a mask that is not here or does not fit */
function coverageOf(
  expert: string,
  region: RegionText | undefined,
  { picture, masks }: MethodContext,
): Float64Array {
  const { latentWidth, latentHeight } = picture;
  if (!region) return new Float64Array(latentWidth * latentHeight);
  let coverage: Float64Array;
  if ("boxes" in region) coverage = boxCoverage(region.boxes, picture);
  else {
    const mask = masks?.get(region.maskPath);
    if (!mask) throw refuseMaskOfJob(region.maskPath);
    coverage = maskCoverage(region.maskPath, mask, picture);
  }
  if (coverage.some((covered) => covered > 0)) return coverage;
  throw new UsageError(
    `The region of expert "${expert}" must cover a latent pixel at least, of ${latentWidth}x${latentHeight}: it covers none`,
  );
}

function boxesOf(regions: ReadonlyMap<number, RegionText>): readonly unknown[] {
  return [...regions].map(([expert, region]) => [
    expert,
    "boxes" in region ? region.boxes.map(Object.values) : "mask",
  ]);
}

function maskHashes(
  regions: ReadonlyMap<number, RegionText>,
  { experts, masks }: MethodContext,
): Readonly<Record<string, string>> {
  const hashes = [...regions].flatMap(([expert, region]) =>
    "maskPath" in region
      ? [[`mask.${experts[expert]}`, masks!.get(region.maskPath)!.sha256] as const]
      : []
  );
  return Object.fromEntries(hashes);
}

/**
 * `eps = sum_i w_i eps_i` at each pixel, half by half.
 *
 * @param weights `[H W]` of each expert
 */
export function weighRegions(
  predictions: readonly NoisePrediction[],
  weights: readonly Float64Array[],
): NoisePrediction {
  const weigh = (half: keyof NoisePrediction) =>
    weighPixels(predictions.map((each) => each[half]!), weights);
  return {
    conditional: weigh("conditional"),
    ...(predictions[0]!.unconditional && { unconditional: weigh("unconditional") }),
  };
}

function weighPixels(
  tensors: readonly F32Tensor[],
  weights: readonly Float64Array[],
): F32Tensor {
  const sum = f32(tensors[0]!.shape);
  const size = weights[0]!.length;
  for (let i = 0; i < sum.data.length; i++) {
    // Minus zero: what is added to it keeps its sign, so a single expert keeps its bits.
    let value = -0;
    for (let expert = 0; expert < tensors.length; expert++) {
      const weight = weights[expert]![i % size]!;
      if (weight !== 0) value += weight * tensors[expert]!.data[i]!;
    }
    sum.data[i] = value;
  }
  return sum;
}
