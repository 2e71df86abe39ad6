/** Rows that denoisers are trained and measured with: noisy latents at random timesteps, with text or without. @module */

import { timestepEmbedding } from "../../../shared/models/unet/time_embedding.ts";
import type { UNetConfig } from "../../../shared/models/config/unet_config.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { addNoise, alphasCumprod } from "../../sampling/samplers/noise_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../sampling/samplers/scheduler_config.ts";
import { type Purpose, SeededDraws, seededNoise } from "../../training/seeded_draws.ts";
import type { SceneLatents } from "./scene_latents.ts";
import type { LossInputs } from "./trainable_model.ts";

/** Inputs of `denoiserLossGraph()` that are no weights. */
export const DENOISER_INPUTS = ["latents", "target", "time_proj", "input_ids"] as const;

export interface DenoiserRowsOptions extends SceneLatents {
  readonly unet: UNetConfig;
  /** Ids of no text. */
  readonly emptyIds: readonly number[];
  readonly seed: bigint;
}

/** What a row is made of. */
interface Row {
  readonly scene: number;
  readonly isTextDropped: boolean;
  /** What its timestep and noise follow from. */
  readonly purpose: Purpose;
}

export class DenoiserRows {
  readonly #options: DenoiserRowsOptions;
  readonly #alphasCumprod = alphasCumprod(DEFAULT_SCHEDULER_CONFIG);

  constructor(options: DenoiserRowsOptions) {
    this.#options = options;
  }

  /** Rows of an endless stream: any scene, its text dropped with a probability. */
  training(stream: string, first: number, count: number, dropText: number): LossInputs {
    const { seed, inputIds } = this.#options;
    return this.#inputs(Array.from({ length: count }, (_, i) => {
      const purpose = [stream, first + i];
      const draws = new SeededDraws(seed, [...purpose, "row"]);
      return {
        scene: draws.below(inputIds.length),
        isTextDropped: draws.uniform() < dropText,
        purpose,
      };
    }));
  }

  /** Each scene in turn with its text, at one draw that never changes, whatever the latents are. */
  heldOut(first: number, count: number): LossInputs {
    return this.#inputs(
      Array.from({ length: count }, (_, i) => ({
        scene: first + i,
        isTextDropped: false,
        purpose: ["held out", first + i],
      })),
    );
  }

  #inputs(rows: readonly Row[]): LossInputs {
    const { latents, inputIds, emptyIds, unet, seed } = this.#options;
    const shape = latents.shape.slice(1);
    const size = latents.data.length / latents.shape[0]!;
    const noisy = f32([rows.length, ...shape]), target = f32([rows.length, ...shape]);
    const timesteps = rows.map(({ scene, purpose }, b) => {
      const timestep = new SeededDraws(seed, [...purpose, "timestep"])
        .below(this.#alphasCumprod.length);
      const alphaBar = this.#alphasCumprod[timestep]!;
      const epsilon = seededNoise(seed, [...purpose, "noise"], shape);
      const clean = f32(shape, latents.data.subarray(scene * size, (scene + 1) * size));
      noisy.data.set(addNoise(clean, epsilon, alphaBar).data, b * size);
      target.data.set(epsilon.data, b * size);
      return timestep;
    });
    const ids = rows.map(({ scene, isTextDropped }) => isTextDropped ? emptyIds : inputIds[scene]!);
    return {
      ...{ latents: noisy, target },
      time_proj: timestepEmbedding(timesteps, unet.blockOutChannels[0]!, unet),
      input_ids: i64([rows.length, emptyIds.length], ids.flat()),
    };
  }
}
