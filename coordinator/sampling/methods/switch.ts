/**
 * A different expert in different parts of a run, as eDiff-I and its kin have experts for ranges of noise. One expert is asked
 * at a time, so a picture costs what a single model's does.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import { aggregationPlan } from "../aggregation_plan.ts";
import type { MethodDefinition } from "./definition.ts";
import type { MethodStep } from "./method.ts";
import type { MethodOptions } from "./method_text.ts";

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

export const SWITCH: MethodDefinition = {
  name: "switch",
  aliases: ["timestep-switch"],
  summary:
    "one expert after the other: NAME=0,NAME=0.4 by the share of steps done, or by=sigma, by=timestep",
  build(options, { experts, blocks }) {
    const unit = options.choice("by", SWITCH_UNITS, "fraction");
    const parts = readParts(unit, options, experts);
    const segments = aggregationPlan(blocks, "noise");
    return {
      name: "switch",
      conditions: { method: `switch ${JSON.stringify({ unit, parts })}` },
      asked: [...new Set(parts.map(({ expert }) => expert))],
      plan: (step) => ({ experts: [switchedExpert(parts, unit, step)], segments }),
    };
  },
};

/** Equal parts where none is said. */
function readParts(
  unit: SwitchUnit,
  options: MethodOptions,
  experts: readonly string[],
): readonly SwitchPart[] {
  const named = options.perExpert({ min: 0 });
  if (named.size === 0) {
    if (unit === "fraction") {
      return experts.map((_, expert) => ({ expert, from: expert / experts.length }));
    }
    throw new UsageError(
      `Method switch by ${unit} must say where experts play, as ${experts[0]}=0`,
    );
  }
  const parts = [...named].map(([expert, from]) => ({ expert, from }));
  const isInOrder = parts.slice(1).every(({ from }, i) =>
    unit === "fraction" ? parts[i]!.from < from : parts[i]!.from > from
  );
  if (isInOrder) return parts;
  const direction = unit === "fraction" ? "rising" : "falling";
  throw new UsageError(
    `Method switch by ${unit} must name experts in the order in which they play, with ${direction} values: ` +
      `current values are ${
        parts.map(({ expert, from }) => `${experts[expert]}=${from}`).join(",")
      }`,
  );
}
