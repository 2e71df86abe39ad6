/** What there is to tell of a sampler, for people and for programs. @module */

import { takesSchedule } from "../sampling/samplers/find_sampler.ts";
import { stepCount } from "../sampling/samplers/sampler.ts";
import { createSampler, findSampler } from "../sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../sampling/samplers/scheduler_config.ts";
import { SCHEDULES } from "../sampling/samplers/sigma_schedules.ts";
import { PRESETS, USUAL_PRESET } from "./presets.ts";

/** What a command line means that names none. */
const USUAL = PRESETS[USUAL_PRESET].settings;
/** Steps that show how many evaluations one takes: enough that first and last do not weigh. */
const MANY_STEPS = 40;

/** @throws {UsageError} as `findSampler()` */
export function samplerFacts(text: string) {
  const sampler = findSampler(text);
  const { name, label, aliases, summary, schedule, eta, takesChurn = false } = sampler;
  const options = { steps: MANY_STEPS, config: DEFAULT_SCHEDULER_CONFIG };
  const built = createSampler(name, options);
  return {
    name,
    label,
    aliases,
    summary,
    isDefault:
      USUAL.sampler === (schedule ? name : `${name}_${findSampler(USUAL.sampler).schedule}`),
    evaluationsPerStep: Math.round(built.evaluations.length / stepCount(built)),
    drawsNoise: built.evaluations.some(({ noiseCount }) => noiseCount > 0),
    ...(eta !== undefined && { eta }),
    ...(schedule !== undefined && { schedule }),
    schedules: SCHEDULES.map((each) => each.name).filter((each) => takesSchedule(sampler, each)),
    takesChurn,
  };
}

export type SamplerFacts = ReturnType<typeof samplerFacts>;
