/**
 * MagicFusion, or saliency-aware noise blending (Zhao et al. 2023): at every pixel the noise of the expert whose guidance
 * stands out most there, compared with the rest of the picture.
 *
 * @module
 */

import { softmax } from "../../../shared/tensor/softmax.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { aggregationPlan } from "../aggregation_plan.ts";
import type { GuidedNoise } from "../guidance.ts";
import type { MethodDefinition } from "./definition.ts";

export interface MagicFusionOptions {
  /** Whose unconditional prediction saliency is measured against: each expert's own (the paper), or the general one's (its code). */
  readonly unconditional: "own" | "general";
  /** Index of the general expert. */
  readonly general: number;
  /** k_i: how sharply each expert's saliency is weighed. */
  readonly sharpness: readonly number[];
}

/** Side of the window that saliency is averaged in, stride 1 and a border of one zero, at every latent size. */
const WINDOW = 4;

/** `eps = eps_M` with `M` the expert of largest weight at each pixel; both halves are chosen alike. */
export function magicFusion(
  predictions: readonly GuidedNoise[],
  guidanceScale: number,
  options: MagicFusionOptions,
): GuidedNoise {
  const mask = fusionMask(saliencyWeights(predictions, guidanceScale, options));
  return {
    unconditional: choose(predictions.map(({ unconditional }) => unconditional), mask),
    conditional: choose(predictions.map(({ conditional }) => conditional), mask),
  };
}

/** `W_i = softmax over all pixels of k_i S_i`, f32 `[B, H, W]` for each expert. */
export function saliencyWeights(
  predictions: readonly GuidedNoise[],
  guidanceScale: number,
  { unconditional, general, sharpness }: MagicFusionOptions,
): F32Tensor[] {
  return predictions.map((prediction, i) => {
    const reference = predictions[unconditional === "own" ? i : general]!.unconditional;
    const salient = saliency(prediction.conditional, reference, guidanceScale);
    const [batch, height, width] = salient.shape as [number, number, number];
    const scaled = lincomb([[sharpness[i]!, salient]]);
    return f32([batch, height, width], softmax({ ...scaled, shape: [batch, height * width] }).data);
  });
}

/**
 * `S = mean over channels of Resize(AvgPool_4(|s (c - u)|))`, f32 `[B, H, W]`: how much guidance moves the surroundings of
 * each pixel.
 */
export function saliency(
  conditional: F32Tensor,
  unconditional: F32Tensor,
  guidanceScale: number,
): F32Tensor {
  const [batch, channels, height, width] = conditional.shape as [number, number, number, number];
  const result = f32([batch, height, width]);
  const size = height * width;
  const plane = new Float64Array(size);
  for (let b = 0; b < batch; b++) {
    plane.fill(0);
    // Pooling and resizing are linear: the mean over channels of the absolute values can be taken first.
    for (let c = 0; c < channels; c++) {
      const offset = (b * channels + c) * size;
      for (let i = 0; i < size; i++) {
        const moved = conditional.data[offset + i]! - unconditional.data[offset + i]!;
        plane[i]! += Math.abs(guidanceScale * moved) / channels;
      }
    }
    result.data.set(resizeBilinear(averagePool(plane, height, width), height, width), b * size);
  }
  return result;
}

interface Plane {
  readonly data: Float64Array;
  readonly height: number;
  readonly width: number;
}

/** One row and column less than the input; zeros outside count. */
function averagePool(data: Float64Array, height: number, width: number): Plane {
  const pooled = new Float64Array((height - 1) * (width - 1));
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      let sum = 0;
      for (let dy = -1; dy < WINDOW - 1; dy++) {
        for (let dx = -1; dx < WINDOW - 1; dx++) {
          const [row, column] = [y + dy, x + dx];
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          sum += data[row * width + column]!;
        }
      }
      pooled[y * (width - 1) + x] = sum / WINDOW ** 2;
    }
  }
  return { data: pooled, height: height - 1, width: width - 1 };
}

/** Bilinear between pixel centres, as torch's `interpolate(align_corners=False)`. */
function resizeBilinear(plane: Plane, height: number, width: number): Float64Array {
  const rows = taps(plane.height, height), columns = taps(plane.width, width);
  const result = new Float64Array(height * width);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      const at = (i: number, j: number) => plane.data[i * plane.width + j]!;
      const upper = at(row.low, column.low) * (1 - column.share) +
        at(row.low, column.high) * column.share;
      const lower = at(row.high, column.low) * (1 - column.share) +
        at(row.high, column.high) * column.share;
      result[y * width + x] = upper * (1 - row.share) + lower * row.share;
    }
  }
  return result;
}

function taps(from: number, to: number) {
  return Array.from({ length: to }, (_, i) => {
    const centre = Math.max(0, (i + 0.5) * from / to - 0.5);
    const low = Math.min(Math.floor(centre), from - 1);
    return { low, high: Math.min(low + 1, from - 1), share: centre - low };
  });
}

/** `M = argmax_i W_i`, the index of an expert for each pixel of `[B, H, W]`; the first of equals. */
export function fusionMask(weights: readonly F32Tensor[]): Uint8Array {
  return Uint8Array.from(weights[0]!.data, (_, pixel) => {
    let best = 0;
    for (let i = 1; i < weights.length; i++) {
      if (weights[i]!.data[pixel]! > weights[best]!.data[pixel]!) best = i;
    }
    return best;
  });
}

/** At each pixel the values of the chosen expert, in all channels. */
function choose(tensors: readonly F32Tensor[], mask: Uint8Array): F32Tensor {
  const [batch, channels, height, width] = tensors[0]!.shape as [number, number, number, number];
  const chosen = f32(tensors[0]!.shape);
  const size = height * width;
  for (let row = 0; row < batch * channels; row++) {
    const image = Math.floor(row / channels);
    for (let i = 0; i < size; i++) {
      chosen.data[row * size + i] = tensors[mask[image * size + i]!]!.data[row * size + i]!;
    }
  }
  return chosen;
}

export const MAGIC_FUSION: MethodDefinition = {
  name: "magicfusion",
  aliases: ["magic-fusion", "saliency-aware-noise-blending"],
  summary:
    "at each pixel the noise of the expert whose guidance stands out most; uncond=own|general, general=NAME, NAME=k, after=t or before=t",
  needsGuidance: true,
  build(options, { experts, blocks, guidanceScale }) {
    const own = options.perExpert();
    const fusion: MagicFusionOptions = {
      unconditional: options.choice("uncond", ["own", "general"], "own"),
      general: options.expert("general") ?? 0,
      sharpness: experts.map((_, i) => own.get(i) ?? 1),
    };
    const after = options.number("after", { min: 0 });
    const before = options.number("before", { min: 0 });
    const all = experts.map((_, i) => i), alone = [fusion.general];
    const segments = aggregationPlan(blocks, "noise");
    const isFused = (timestep: number) =>
      (after === undefined || timestep <= after) && (before === undefined || timestep > before);
    return {
      name: "magicfusion",
      conditions: { method: `magicfusion ${JSON.stringify({ ...fusion, after, before })}` },
      needsBothHalves: true,
      plan: ({ timestep }) => ({ experts: isFused(timestep) ? all : alone, segments }),
      combineNoise: (predictions) =>
        predictions.length === 1
          ? predictions[0]!
          : magicFusion(predictions as GuidedNoise[], guidanceScale, fusion),
    };
  },
};
