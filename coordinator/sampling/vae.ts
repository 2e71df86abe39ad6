/** The ensemble's VAE on the coordinator's lane: latents to images, and images to latents. @module */

import type { Part } from "../../shared/checkpoint/checkpoint.ts";
import { GraphRunner } from "../../shared/engine/graph_runner.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { ShapeError } from "../../shared/errors.ts";
import { type VaeConfig, vaeFactor } from "../../shared/models/config/vae_config.ts";
import { vaeDecoderGraph, vaeEncoderGraph } from "../../shared/models/vae.ts";
import { Weights } from "../../shared/models/weights.ts";
import { checkFinite, checkTensor } from "../../shared/tensor/check.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";

export class Vae implements AsyncDisposable {
  /** Image pixels per latent pixel, on each side. */
  readonly factor: number;
  readonly config: VaeConfig;
  readonly #runner: GraphRunner;

  /** @throws {FormatError} if the weights do not fit the config */
  constructor({ config, weights: table }: Part<VaeConfig>, options: ComputeOptions) {
    const weights = Weights.of(table);
    const graphs = [vaeDecoderGraph(config, weights), vaeEncoderGraph(config, weights)];
    weights.check("VAE");
    this.config = config;
    this.factor = vaeFactor(config);
    this.#runner = new GraphRunner(graphs, { ...options, lanes: 1 });
  }

  /**
   * @param latents f32 `[B, 4, h, w]`, scaled as the U-Net has them
   * @returns f32 `[B, 3, 8h, 8w]` around [-1, 1], not clamped
   */
  async decode(latents: F32Tensor): Promise<F32Tensor> {
    const [batch = 0, , height = 0, width = 0] = latents.shape;
    checkTensor("latents", latents, "float32", [batch, this.config.latentChannels, height, width]);
    const scaled = lincomb([[1 / this.config.scalingFactor, latents]]);
    const shape = [batch, this.config.outChannels, this.factor * height, this.factor * width];
    const { outputs } = await this.#runner.run("vae_decoder", { latents: scaled }, {
      image: { dtype: "float32", shape },
    });
    const image = outputs.image as F32Tensor;
    checkFinite("Image of the VAE", image);
    return image;
  }

  /**
   * The distribution of the unscaled latents; logvar is not clamped.
   *
   * @param image f32 `[B, 3, 8h, 8w]` in [-1, 1]
   * @returns mean and logvar, f32 `[B, 4, h, w]`
   * @throws {ShapeError} if height or width is no multiple of the factor
   */
  async encode(
    image: F32Tensor,
  ): Promise<{ readonly mean: F32Tensor; readonly logvar: F32Tensor }> {
    const [batch = 0, , height = 0, width = 0] = image.shape;
    checkTensor("image", image, "float32", [batch, this.config.inChannels, height, width]);
    for (const [axis, size] of Object.entries({ height, width })) {
      if (size < 1 || size % this.factor !== 0) {
        throw new ShapeError(
          `image ${axis} must be a multiple of ${this.factor}: current value is ${size}`,
        );
      }
    }
    const shape = [batch, this.config.latentChannels, height / this.factor, width / this.factor];
    const { outputs } = await this.#runner.run("vae_encoder", { image }, {
      mean: { dtype: "float32", shape },
      logvar: { dtype: "float32", shape },
    });
    return { mean: outputs.mean as F32Tensor, logvar: outputs.logvar as F32Tensor };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runner[Symbol.asyncDispose]();
  }
}
