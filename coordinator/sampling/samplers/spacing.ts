/** Which training timesteps n steps visit (diffusers' `timestep_spacing`; `docs/spec.md`, "Timesteps"). @module */

import { UsageError } from "../../../shared/errors.ts";
import type { SpacedConfig } from "./scheduler_config.ts";

export const TIMESTEP_SPACINGS = ["leading", "linspace", "trailing"] as const;
export type TimestepSpacing = typeof TIMESTEP_SPACINGS[number];

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
  if (!Number.isSafeInteger(n) || n < 1 || n > total) {
    throw new UsageError(`--steps must be a whole number in 1..${total}: current value is ${n}`);
  }
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

/** numpy's rounding, where `Math.round` goes up from every half. */
function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
