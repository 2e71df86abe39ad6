/**
 * What a VAE is trained to make small, as a graph of both halves with their weights as inputs. Of an image x, its encoding's
 * mean m and log-variance v, and what the decoder makes of `z = m + exp(v / 2) noise`, each a mean over its elements:
 *
 *   |x' - x| + (x' - x)^2 + `KL_WEIGHT` (m^2 + exp(v) - 1 - v) / 2
 *
 * @module
 */

import { type Graph, GraphBuilder, type Value } from "../../onnx/graph.ts";
import { Add, Exp, Mul, Sqrt, Sub } from "../../onnx/ops/elementwise.ts";
import { f32 } from "../../tensor/tensor.ts";
import type { VaeConfig } from "../config/vae_config.ts";
import { decodeLatents, encodeImage } from "../vae.ts";
import { Weights } from "../weights.ts";
import { rowMeans } from "./mean_squares.ts";

/** Only so much that latents stay around 1: a loss of 0.1 is of the pictures. */
const KL_WEIGHT = 1e-4;
/** |d| is computed as sqrt(d^2 + CORNER^2), which has a derivative at 0. An eighth of a level of colour. */
const CORNER = 1e-3;

/** Rows of a run, and height and width of the images. */
export interface VaeSize {
  readonly batch: number;
  readonly imageSize: number;
}

/**
 * Inputs: `image` f32 `[B, 3, H, W]` in [-1, 1], `noise` standard normal f32 `[B, 4, h, w]`, and all weights under their keys.
 * Output: `losses` f32 `[B, 1, 1, 1]`.
 *
 * @param factor image pixels per latent pixel
 */
export function vaeLossGraph(
  config: VaeConfig,
  factor: number,
  { batch, imageSize }: VaeSize,
): Graph {
  const g = new GraphBuilder("vae loss");
  const weights = Weights.asInputs();
  const latentSize = imageSize / factor;
  const image = g.input("image", "float32", [batch, config.inChannels, imageSize, imageSize]);
  const noise = g.input("noise", "float32", [
    ...[batch, config.latentChannels],
    ...[latentSize, latentSize],
  ]);
  const { mean, logvar } = encodeImage(g, config, weights, image, "primitive");
  const constant = (value: number) => g.constant(f32([], [value]), "scalar");
  const deviation = Exp(g, Mul(g, logvar, constant(0.5)));
  const latents = Add(g, mean, Mul(g, deviation, noise));
  const decoded = decodeLatents(g, config, weights, latents, "primitive");

  const difference = Sub(g, decoded, image);
  const squares = Mul(g, difference, difference);
  const absolutes = Sqrt(g, Add(g, squares, constant(CORNER ** 2)));
  const twiceKl = Sub(
    g,
    Add(g, Mul(g, mean, mean), Mul(g, deviation, deviation)),
    Add(g, logvar, constant(1)),
  );
  const weighted = (value: Value, weight: number) => Mul(g, rowMeans(g, value), constant(weight));
  const ofPicture = Add(g, rowMeans(g, squares), rowMeans(g, absolutes));
  g.output("losses", Add(g, ofPicture, weighted(twiceKl, KL_WEIGHT / 2)));
  return g.build();
}
