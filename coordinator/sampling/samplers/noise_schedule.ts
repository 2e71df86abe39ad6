/**
 * The constants of the training noise process that all schedulers share (DDPM, Ho et al. 2020, with the
 * betas of latent diffusion), in f64.
 *
 * @module
 */

export interface NoiseScheduleConfig {
  readonly numTrainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: "scaled_linear" | "linear";
}

/** beta_t: evenly spaced square roots, squared (`scaled_linear`), or evenly spaced (`linear`). */
export function betas(
  { numTrainTimesteps, betaStart, betaEnd, betaSchedule }: NoiseScheduleConfig,
): Float64Array {
  const between = (from: number, to: number, t: number) =>
    from + (to - from) * t / (numTrainTimesteps - 1);
  return Float64Array.from(
    { length: numTrainTimesteps },
    (_, t) =>
      betaSchedule === "linear"
        ? between(betaStart, betaEnd, t)
        : between(Math.sqrt(betaStart), Math.sqrt(betaEnd), t) ** 2,
  );
}

/** alphaBar_t = prod_{s <= t} (1 - beta_s) */
export function alphasCumprod(config: NoiseScheduleConfig): Float64Array {
  let product = 1;
  return betas(config).map((beta) => product *= 1 - beta);
}
