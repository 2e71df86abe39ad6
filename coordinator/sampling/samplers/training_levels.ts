/** The noise levels that a model was trained at, one a timestep, and the ways between timestep and sigma. @module */

import type { NoiseScheduleConfig } from "../../../shared/models/config/scheduler_config.ts";
import { alphasCumprod, sigmaOf } from "./noise_schedule.ts";

/** Stands for an alphaBar of 0 (zero terminal SNR), whose sigma would be infinite: 4096 is what diffusers takes. */
const LEAST_ALPHA_BAR = 2 ** -24;

export class TrainingLevels {
  /** Rising. */
  readonly sigmas: Float64Array;
  readonly #logs: Float64Array;

  constructor(config: NoiseScheduleConfig) {
    this.sigmas = alphasCumprod(config).map((a) => sigmaOf(Math.max(a, LEAST_ALPHA_BAR)));
    this.#logs = this.sigmas.map(Math.log);
  }

  get sigmaMin(): number {
    return this.sigmas[0]!;
  }

  get sigmaMax(): number {
    return this.sigmas.at(-1)!;
  }

  /** Between two timesteps linear in sigma, as diffusers' Euler schedulers. */
  sigmaAt(timestep: number): number {
    return linearAt(this.sigmas, timestep);
  }

  /** Between two timesteps linear in log sigma, as k-diffusion's `t_to_sigma`. */
  logLinearSigmaAt(timestep: number): number {
    return Math.exp(linearAt(this.#logs, timestep));
  }

  /** The timestep of a noise level, linear in log sigma between two, within the training's. */
  timestepOf(sigma: number): number {
    const wanted = Math.log(sigma);
    const above = this.#logs.findIndex((log) => log >= wanted);
    if (above < 0) return this.#logs.length - 1;
    if (above === 0) return 0;
    const [low, high] = [this.#logs[above - 1]!, this.#logs[above]!];
    return above - 1 + (wanted - low) / (high - low);
  }
}

/** Between two entries of a table, linearly. */
function linearAt(table: Float64Array, position: number): number {
  const low = Math.min(Math.floor(position), table.length - 2);
  const share = position - low;
  return table[low]! * (1 - share) + table[low + 1]! * share;
}
