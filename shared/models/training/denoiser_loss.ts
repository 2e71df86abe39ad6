/**
 * What a text encoder and a U-Net are trained to make small, as a graph of both with their weights as inputs: the mean square
 * between the noise that was added and the noise that was predicted.
 *
 * @module
 */

import { type Graph, GraphBuilder } from "../../onnx/graph.ts";
import { clipTextStates } from "../clip_text.ts";
import type { ClipTextConfig } from "../config/clip_config.ts";
import type { UNetConfig } from "../config/unet_config.ts";
import { unetNoise } from "../unet/unet.ts";
import { Weights } from "../weights.ts";
import { meanSquares } from "./mean_squares.ts";

export interface DenoiserConfigs {
  readonly unet: UNetConfig;
  readonly text: ClipTextConfig;
}

/** Rows of a run, and height and width of the latents: known, so that the runtime plans for them. */
export interface DenoiserSize {
  readonly batch: number;
  readonly latentSize: number;
}

/**
 * Inputs: `latents` (noisy) and `target` f32 `[B, 4, h, w]`, `time_proj` f32 `[B, C0]`, `input_ids` int64 `[B, L]`, and all
 * weights as `unet.<key>` and `text_encoder.<key>`. Output: `losses` f32 `[B, 1, 1, 1]`, the mean square of each row.
 */
export function denoiserLossGraph(
  { unet, text }: DenoiserConfigs,
  { batch, latentSize }: DenoiserSize,
): Graph {
  const g = new GraphBuilder("denoiser loss");
  const weights = Weights.asInputs();
  const image = [batch, unet.inChannels, latentSize, latentSize];
  const latents = g.input("latents", "float32", image);
  const target = g.input("target", "float32", image);
  const timeProj = g.input("time_proj", "float32", [batch, unet.blockOutChannels[0]!]);
  const inputIds = g.input("input_ids", "int64", [batch, text.maxLength]);
  const encoderHiddenStates = clipTextStates(g, text, weights.scope("text_encoder"), inputIds);
  const noise = unetNoise(g, unet, weights.scope("unet"), {
    ...{ latents, timeProj, encoderHiddenStates },
  });
  g.output("losses", meanSquares(g, noise, target));
  return g.build();
}
