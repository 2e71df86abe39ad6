/** The learning rate of each update: constant, as the paper's, with a cooldown at the end if one is wanted. @module */

export interface Schedule {
  /** Before the cooldown. */
  readonly learningRate: number;
  /** Updates in all. */
  readonly steps: number;
  /** Updates at the end over which the rate falls in equal parts, to one part above 0. */
  readonly cooldown: number;
}

/** @param step 1 for the first update */
export function learningRateAt(
  step: number,
  { learningRate, steps, cooldown }: Schedule,
): number {
  const left = steps - step + 1;
  return left > cooldown ? learningRate : learningRate * left / (cooldown + 1);
}

/** The updates of a cooldown as a run's recipe tells them: after `from`, until `to`. */
export interface CooldownSpan {
  readonly from: number;
  readonly to: number;
}

/** @returns undefined if there is none */
export function cooldownSpan(
  { steps, cooldown }: Omit<Schedule, "learningRate">,
): CooldownSpan | undefined {
  return cooldown > 0 ? { from: Math.max(0, steps - cooldown), to: steps } : undefined;
}
