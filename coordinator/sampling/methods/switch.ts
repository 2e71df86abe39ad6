/**
 * A different expert in different parts of a run, as eDiff-I and its kin have experts for ranges of noise. One expert is asked
 * at a time, so a picture costs what a single model's does.
 *
 * @module
 */

import type { MethodStep } from "./method.ts";

/** What the parts are counted in: the share of steps that are done, the noise level, or the training timestep. */
export const SWITCH_UNITS = ["fraction", "sigma", "timestep"] as const;
export type SwitchUnit = typeof SWITCH_UNITS[number];

/** Where an expert's part begins. */
export interface SwitchPart {
  readonly expert: number;
  readonly from: number;
}

/**
 * The expert of a step: that of the last part that has begun. By fraction parts begin when that share of the steps is done; by
 * sigma and timestep, which fall, an expert plays down to its value and the next one goes on below it.
 *
 * @param parts in the order in which they play
 */
export function switchedExpert(
  parts: readonly SwitchPart[],
  unit: SwitchUnit,
  { stepIndex, stepCount, sigma, timestep }: MethodStep,
): number {
  if (unit === "fraction") {
    const done = stepIndex / stepCount;
    return (parts.findLast(({ from }) => from <= done) ?? parts[0]!).expert;
  }
  const level = unit === "sigma" ? sigma : timestep;
  return (parts.find(({ from }) => from <= level) ?? parts.at(-1)!).expert;
}
