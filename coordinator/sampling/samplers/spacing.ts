/** Which training timesteps n steps visit (diffusers' `timestep_spacing`). @module */

import { UsageError } from "../../../shared/errors.ts";
import type { SpacedConfig } from "./scheduler_config.ts";

export {
  TIMESTEP_SPACINGS,
  type TimestepSpacing,
} from "../../../shared/models/config/scheduler_config.ts";

type SpacingConfig = Pick<SpacedConfig, "numTrainTimesteps" | "timestepSpacing" | "stepsOffset">;

/**
 * n whole timesteps, largest first.
 *
 * @throws {UsageError} if n is no whole number in 1..numTrainTimesteps
 */
export function spacedTimesteps(n: number, config: SpacingConfig): number[] {
  const timesteps = fractionalTimesteps(n, config);
  return config.timestepSpacing === "linspace" ? timesteps.map(roundHalfToEven) : timesteps;
}

/**
 * The same for samplers that take fractions, which only `linspace` has.
 *
 * @throws {UsageError} if n is no whole number in 1..numTrainTimesteps
 */
export function fractionalTimesteps(
  n: number,
  { numTrainTimesteps: total, timestepSpacing, stepsOffset }: SpacingConfig,
): number[] {
  checkSteps(n, total);
  const steps = Array.from({ length: n }, (_, i) => i);
  switch (timestepSpacing) {
    case "leading": {
      const ratio = Math.floor(total / n);
      // An offset may point past the last training timestep when every one is visited.
      return steps.map((i) => Math.min((n - 1 - i) * ratio + stepsOffset, total - 1));
    }
    // The order of operations is that of numpy's linspace and arange: it decides where halves fall.
    case "linspace": {
      const stride = n === 1 ? 0 : (total - 1) / (n - 1);
      return steps.map((i) => (n - 1 - i) * stride);
    }
    case "trailing": {
      const stride = total - (total - total / n);
      return steps.map((i) => roundHalfToEven(total - i * stride) - 1);
    }
  }
}

/**
 * Those of diffusers' multistep schedulers: of n + 1 timesteps the last, at little noise, is dropped, as such a run ends with a step
 * from the one before to the end. `trailing` ends that way by itself.
 *
 * @throws {UsageError} if n is no whole number in 1..numTrainTimesteps, or n + 1 timesteps would not differ
 */
export function multistepTimesteps(n: number, config: SpacingConfig): number[] {
  const { numTrainTimesteps: total, timestepSpacing, stepsOffset } = config;
  if (timestepSpacing === "trailing") return spacedTimesteps(n, config);
  checkSteps(n, total - 1);
  if (timestepSpacing === "linspace") return spacedTimesteps(n + 1, config).slice(0, -1);
  const ratio = Math.floor(total / (n + 1));
  return Array.from({ length: n }, (_, i) => (n - i) * ratio + stepsOffset);
}

/** How many timesteps a consistency model is distilled at. */
const DISTILLED_TIMESTEPS = 50;

/**
 * n of the timesteps that consistency models (LCM, TCD) are distilled at: every 20th, from the noisiest down.
 *
 * @throws {UsageError} if n is no whole number in 1..50
 */
export function distilledTimesteps(
  n: number,
  { numTrainTimesteps }: Pick<SpacingConfig, "numTrainTimesteps">,
): number[] {
  checkSteps(n, DISTILLED_TIMESTEPS);
  const stride = Math.floor(numTrainTimesteps / DISTILLED_TIMESTEPS);
  return Array.from({ length: n }, (_, i) => {
    const skipped = Math.floor(i * DISTILLED_TIMESTEPS / n);
    return (DISTILLED_TIMESTEPS - skipped) * stride - 1;
  });
}

function checkSteps(n: number, most: number): void {
  if (!Number.isSafeInteger(n) || n < 1 || n > most) {
    throw new UsageError(`--steps must be a whole number in 1..${most}: current value is ${n}`);
  }
}

/** numpy's rounding, where `Math.round` goes up from every half. */
export function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
