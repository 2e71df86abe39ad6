/**
 * SuperDiff, the logical OR (Skreta et al. 2025, "The Superposition of Diffusion Models Using the Itô Density Estimator",
 * Algorithm 1): experts are weighed by how likely each holds the picture that is coming into being, so the ensemble samples
 * from the mixture of their densities.
 *
 * @module
 */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { concatRows, f32, type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import { aggregationPlan } from "../aggregation_plan.ts";
import type { NoisePrediction } from "../guidance.ts";
import { epsilonAndDenoised } from "../prediction.ts";
import type { MethodDefinition } from "./definition.ts";
import type { NoisyLatents, TakenStep } from "./method.ts";

/** Of the tensor that is remembered: `[B, N]`, for each image and expert, the largest of each image 0. */
const LOG_DENSITIES = "log_densities";

export interface SuperposedWeights {
  /** The paper's T, a factor: above 1 the likelier expert counts more, at 0 none counts more. */
  readonly temperature: number;
  /** The paper's bias, of each expert. */
  readonly bias: readonly number[];
}

export const SUPERDIFF_OR: MethodDefinition = {
  name: "superdiff-or",
  aliases: ["superdiff"],
  summary:
    "experts by how likely each holds the picture so far, with an ancestral or SDE sampler; temperature=T, bias=NAME:x",
  needsReverseSde: true,
  build(options, { experts, blocks }) {
    const temperature = options.number("temperature", { min: 0, max: 1e6 }) ?? 1;
    const biased = options.expertNumber("bias");
    const bias = experts.map((_, i) => biased?.expert === i ? biased.value : 0);
    const plan = {
      experts: experts.map((_, i) => i),
      segments: aggregationPlan(blocks, "noise"),
    };
    return {
      name: "superdiff-or",
      conditions: { method: `superdiff-or ${JSON.stringify({ temperature, bias })}` },
      plan: () => plan,
      combineNoise: (predictions, { memory }) =>
        superpose(predictions, memory![LOG_DENSITIES]!, { temperature, bias }),
      memory: {
        // All start from the same noise, of which every expert thinks alike.
        begin: (images) => ({ [LOG_DENSITIES]: f32([images, experts.length]) }),
        after: (step) => ({
          [LOG_DENSITIES]: addedUp(step.memory[LOG_DENSITIES]!, logDensityChanges(step)),
        }),
      },
    };
  },
};

/** `sum_i kappa_i eps_i` with `kappa = softmax(T log q + bias)` of each image (Algorithm 1, OR), half by half. */
export function superpose(
  predictions: readonly NoisePrediction[],
  logDensities: F32Tensor,
  { temperature, bias }: SuperposedWeights,
): NoisePrediction {
  const [images = 0, experts = 0] = logDensities.shape;
  const weights = Array.from({ length: images }, (_, image) => {
    const own = logDensities.data.subarray(image * experts, (image + 1) * experts);
    return softmaxOf(bias.map((each, i) => temperature * own[i]! + each));
  });
  const weigh = (half: keyof NoisePrediction) =>
    concatRows(
      weights.map((kappa, image) =>
        lincomb(predictions.map((each, i) =>
          [kappa[i]!, sliceRows(each[half]!, image, image + 1)] as const
        ))
      ),
    );
  return {
    conditional: weigh("conditional"),
    ...(predictions[0]!.unconditional && { unconditional: weigh("unconditional") }),
  };
}

function softmaxOf(values: readonly number[]): number[] {
  const largest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * The Itô density estimator (Theorem 1, Eq. 13) over one step of the reverse SDE, whatever moved x:
 *
 *     d log q = <dx, s> - (sigma^2 - sigma'^2) / 2 |s|^2,   s = grad log q = -eps / sigma
 *
 * It is taken where `x = x_0 + sigma z`: there the forward drift f is 0 and g^2 is the change of sigma^2. In another scale all
 * experts' densities differ by the same factor. The model of an expert is its conditional one, without guidance, as in the
 * authors' notebook for Stable Diffusion (necludov/super-diffusion, `notebooks/superposition_AND.ipynb`).
 *
 * @returns for each image, of each expert
 */
export function logDensityChanges(
  { predictions, predictionType, from, to }: Omit<TakenStep, "memory">,
): number[][] {
  const before = unscaled(from), after = unscaled(to);
  const variance = from.sigma ** 2 - to.sigma ** 2;
  const alphaBar = 1 / (from.sigma ** 2 + 1);
  const epsilons = predictions.map(({ conditional }) =>
    epsilonAndDenoised(conditional, from.latentModelInput, alphaBar, predictionType).epsilon
  );
  const images = from.latentModelInput.shape[0]!;
  const size = before.length / images;
  return Array.from({ length: images }, (_, image) =>
    epsilons.map(({ data }) => {
      let change = 0;
      for (let i = image * size; i < (image + 1) * size; i++) {
        const score = -data[i]! / from.sigma;
        change += (after[i]! - before[i]!) * score - variance / 2 * score ** 2;
      }
      return change;
    }));
}

/** What the U-Nets are given has been divided by `sqrt(sigma^2 + 1)`. */
function unscaled({ sigma, latentModelInput }: NoisyLatents): Float64Array {
  return Float64Array.from(latentModelInput.data, (value) => value * Math.hypot(sigma, 1));
}

/** Only differences between experts count: with the largest at 0 those that matter keep their digits. */
function addedUp(logDensities: F32Tensor, changes: readonly (readonly number[])[]): F32Tensor {
  const experts = logDensities.shape[1]!;
  const rows = changes.map((own, image) => {
    const sums = own.map((change, i) => logDensities.data[image * experts + i]! + change);
    const largest = Math.max(...sums);
    return sums.map((sum) => sum - largest);
  });
  return f32(logDensities.shape, rows.flat());
}
