/**
 * Which tensors a model of a given config consists of. The graphs are built over no weights, and the list is what they
 * asked for: no key or shape is written down twice.
 *
 * @module
 */

import { elementCount, type Shape } from "../tensor/tensor.ts";
import { clipTextGraph, textProjectionGraph } from "./clip_text.ts";
import type { ClipTextConfig } from "./config/clip_config.ts";
import type { SabwConfig } from "./config/sabw_config.ts";
import type { UNetConfig } from "./config/unet_config.ts";
import type { VaeConfig } from "./config/vae_config.ts";
import { sabwGraph } from "./sabw.ts";
import { unetBlockGraph } from "./unet/block_graph.ts";
import { unetBlockTable } from "./unet/block_table.ts";
import { timeEmbeddingGraph } from "./unet/time_embedding.ts";
import { vaeDecoderGraph, vaeEncoderGraph } from "./vae.ts";
import { Weights } from "./weights.ts";

/** Diffusers key -> shape. */
export type ParameterShapes = ReadonlyMap<string, Shape>;

export function unetParameters(config: UNetConfig): ParameterShapes {
  return demandedBy((weights) => buildUNet(config, weights));
}

/** @param isProjected whether the pooled output has a projection, as SDXL's second encoder's */
export function textParameters(config: ClipTextConfig, isProjected: boolean): ParameterShapes {
  return demandedBy((weights) => buildText(config, weights, isProjected));
}

export function vaeParameters(config: VaeConfig): ParameterShapes {
  return demandedBy((weights) => buildVae(config, weights));
}

/** Of one aggregator. */
export function sabwParameters(config: SabwConfig): ParameterShapes {
  return demandedBy((weights) => sabwGraph("sabw", config, weights));
}

/** Asks `weights` for all that a U-Net needs; `weights.check()` then tells what does not fit. */
export function buildUNet(config: UNetConfig, weights: Weights): void {
  timeEmbeddingGraph(config, weights);
  for (const block of unetBlockTable(config)) unetBlockGraph(block, config, weights);
}

/** As `buildUNet()`, for a text encoder. */
export function buildText(config: ClipTextConfig, weights: Weights, isProjected: boolean): void {
  clipTextGraph(config, weights);
  if (isProjected) textProjectionGraph(config, weights);
}

/** As `buildUNet()`, for a VAE. */
export function buildVae(config: VaeConfig, weights: Weights): void {
  vaeEncoderGraph(config, weights);
  vaeDecoderGraph(config, weights);
}

/** Elements of all tensors together. */
export function parameterCount(shapes: Iterable<Shape>): number {
  return [...shapes].reduce((sum, shape) => sum + elementCount(shape), 0);
}

function demandedBy(buildGraphs: (weights: Weights) => void): ParameterShapes {
  const weights = Weights.of(new Map());
  buildGraphs(weights);
  return weights.demanded;
}
