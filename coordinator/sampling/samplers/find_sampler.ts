/** From what users call a sampler or a schedule to its row of the table. @module */

import { UsageError } from "../../../shared/errors.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import { type SamplerDefinition, SAMPLERS } from "./sampler_table.ts";
import {
  isSpacing,
  type ScheduleDefinition,
  SCHEDULES,
  type SigmaSchedule,
} from "./sigma_schedules.ts";

/** A sampler as it was named. */
export interface NamedSampler extends SamplerDefinition {
  /** Of a joined name such as "DPM++ 2M Karras": then `name` and `label` are joined, too. */
  readonly schedule?: SigmaSchedule;
}

/**
 * A sampler by one of its names; case, spaces and hyphens do not count, `++` is `pp`, and a `k_` or `sample_` before it is what
 * other tools write. A schedule's name behind it, as in "DPM++ 2M Karras" or `dpmpp_2m_k`, goes with it.
 *
 * @throws {UsageError} with the nearest name and the list
 */
export function findSampler(text: string): NamedSampler {
  const wanted = plainName(text.trim().replace(/^(?:k|sample)[\s_-]+/i, ""));
  return SAMPLERS.find((sampler) => namesOf(sampler).includes(wanted)) ?? findJoined(wanted) ??
    refuse(text);
}

function findJoined(wanted: string): NamedSampler | undefined {
  for (const sampler of SAMPLERS) {
    for (const name of namesOf(sampler)) {
      if (!wanted.startsWith(name)) continue;
      const rest = wanted.slice(name.length);
      const schedule = SCHEDULES.find((each) => namesOf(each).includes(rest));
      if (!schedule || !takesSchedule(sampler, schedule.name)) continue;
      return {
        ...sampler,
        name: `${sampler.name}_${schedule.name}`,
        label: `${sampler.label} ${schedule.label}`,
        schedule: schedule.name,
      };
    }
  }
  return undefined;
}

/**
 * A schedule by one of its names, read as those of samplers are.
 *
 * @throws {UsageError} with the nearest name and the list
 */
export function findSchedule(text: string): ScheduleDefinition {
  const wanted = plainName(text);
  const found = SCHEDULES.find((schedule) => namesOf(schedule).includes(wanted));
  if (found) return found;
  const names = SCHEDULES.map(({ name }) => name);
  const known = SCHEDULES.flatMap(({ name, label, aliases }) => [name, label, ...aliases]);
  throw new UsageError(
    `The schedule must be one of ${names.join(", ")}: current value is "${text}"` +
      didYouMean(text, known),
  );
}

/** Whether a sampler's noise levels may come from a schedule. */
export function takesSchedule(
  { schedules }: Pick<SamplerDefinition, "schedules">,
  schedule: SigmaSchedule,
): boolean {
  return schedules === "any" || (schedules === "spacings" && isSpacing(schedule));
}

function refuse(text: string): never {
  const names = SAMPLERS.map(({ name }) => name);
  const known = SAMPLERS.flatMap(({ name, label, aliases }) => [name, label, ...aliases]);
  throw new UsageError(
    `The sampler must be one of ${names.join(", ")}: current value is "${text}"` +
      didYouMean(text, known),
  );
}

function namesOf(
  { name, label, aliases }: Pick<
    SamplerDefinition | ScheduleDefinition,
    "name" | "label" | "aliases"
  >,
): string[] {
  return [name, label, ...aliases].map(plainName);
}

function plainName(text: string): string {
  return text.toLowerCase().replaceAll("+", "p").replaceAll(/[\s_-]/g, "");
}
