/**
 * From examples to what the experts see in training: a sample of the latents, noise at a random timestep, and the text or none.
 *
 * @module
 */

import type { ExpertDescription } from "../../shared/engine/expert.ts";
import { concatRows, f32, type F32Tensor, type Shape } from "../../shared/tensor/tensor.ts";
import { addNoise, velocity } from "../sampling/samplers/noise_schedule.ts";
import type { InputIds } from "../sampling/text_states.ts";
import type { NoisyBatch } from "./batch_pass.ts";
import { type Example, sampleLatents } from "./dataset/examples.ts";
import type { TextCache } from "./dataset/text_cache.ts";
import { type Purpose, SeededDraws, seededNoise } from "./seeded_draws.ts";

/** What is random about a row. */
export interface RowDraw {
  readonly timestep: number;
  readonly isTextDropped: boolean;
  /** Of the sample of the VAE's distribution, standard normal, f32 `[1, 4, H, W]`. */
  readonly latentNoise: F32Tensor;
  /** Epsilon, standard normal, f32 `[1, 4, H, W]`. */
  readonly noise: F32Tensor;
}

export interface NoisyRow {
  readonly example: Example;
  readonly draw: RowDraw;
}

export interface NoisyRowsOptions {
  readonly texts: TextCache;
  /** Ids of no text. */
  readonly emptyIds: InputIds;
  /** alphaBar of every training timestep. */
  readonly alphasCumprod: ArrayLike<number>;
  readonly predictionType: ExpertDescription["predictionType"];
  readonly scalingFactor: number;
  /** Whether latents are samples of the VAE's distribution, else its means. */
  readonly samplesLatents: boolean;
  /** `[4, H, W]` */
  readonly latentShape: Shape;
  /** In pixels, height and width. */
  readonly size: number;
}

export class NoisyRows {
  readonly #options: NoisyRowsOptions;

  constructor(options: NoisyRowsOptions) {
    this.#options = options;
  }

  /** t ~ U{0..999}, two noises, and whether the text is dropped. */
  draw(seed: bigint, purpose: Purpose, dropText: number): RowDraw {
    const { alphasCumprod, latentShape } = this.#options;
    const draws = new SeededDraws(seed, [...purpose, "row"]);
    const shape = [1, ...latentShape];
    return {
      timestep: draws.below(alphasCumprod.length),
      isTextDropped: draws.uniform() < dropText,
      latentNoise: seededNoise(seed, [...purpose, "latents"], shape),
      noise: seededNoise(seed, [...purpose, "noise"], shape),
    };
  }

  /**
   * The same rows for one expert alone: the control that gives it all weight, with all else as in the ensemble.
   *
   * @param index of the expert in the ensemble
   */
  ofExpert(index: number): NoisyRows {
    return new NoisyRows({ ...this.#options, texts: this.#options.texts.ofExpert(index) });
  }

  async batch(rows: readonly NoisyRow[], signal?: AbortSignal): Promise<NoisyBatch> {
    const { texts, emptyIds, size } = this.#options;
    const noisy = await Promise.all(rows.map((row) => this.#noisy(row)));
    const textRows = rows.map(({ example, draw: { isTextDropped } }) => ({
      inputIds: isTextDropped ? emptyIds : example.inputIds,
      isDropped: isTextDropped,
    }));
    return {
      latents: concatRows(noisy.map(({ latents }) => latents)),
      target: concatRows(noisy.map(({ target }) => target)),
      timesteps: rows.map(({ draw }) => draw.timestep),
      embeds: await texts.embeds(textRows, signal),
      imageSize: { height: size, width: size },
    };
  }

  /** x_t, and what predicts it (`noise_schedule.ts`). */
  async #noisy({ example, draw }: NoisyRow): Promise<Pick<NoisyBatch, "latents" | "target">> {
    const { alphasCumprod, scalingFactor, samplesLatents, predictionType } = this.#options;
    const latentNoise = samplesLatents ? draw.latentNoise : f32(draw.latentNoise.shape);
    const clean = sampleLatents(await example.latents(), latentNoise, scalingFactor);
    const alphaBar = alphasCumprod[draw.timestep]!;
    return {
      latents: addNoise(clean, draw.noise, alphaBar),
      target: predictionType === "epsilon" ? draw.noise : velocity(clean, draw.noise, alphaBar),
    };
  }
}
