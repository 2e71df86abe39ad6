/** What a user should know of how models and a job's sampler go together. @module */

import { isSaid } from "../../shared/checkpoint/own_schedule.ts";
import type { AgreedSchedule } from "../ensemble/agreed_schedule.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { expertNames } from "../ensemble/expert_names.ts";
import type { EnsemblingMethod } from "../sampling/methods/method.ts";
import { DEFAULT_SAMPLER, findSampler } from "../sampling/samplers/samplers.ts";
import { ignoredMark, scheduleText } from "../sampling/samplers/schedule_text.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../sampling/samplers/scheduler_config.ts";
import { distilledFlags } from "../settings/presets.ts";
import type { JobSpec } from "./job_spec.ts";

type Tell = (text: string) => void;

/** Tells by which schedule models are sampled where it is not Stable Diffusion 1.5's, and what of it the job's own replaces. */
export function noteSchedule(
  { config, source }: AgreedSchedule,
  { sampler = DEFAULT_SAMPLER, schedule }: Pick<JobSpec, "sampler" | "schedule">,
  note?: Tell,
): void {
  const named = findSampler(sampler);
  const placedBy = schedule ?? named.schedule;
  const { timestepSpacing: own } = config;
  const isReplaced = own !== undefined && placedBy !== undefined && placedBy !== own;
  const text = scheduleText(isReplaced ? { ...config, timestepSpacing: undefined } : config);
  const told = text === scheduleText(DEFAULT_SCHEDULER_CONFIG)
    ? []
    : [source === undefined ? text : `${text} (${source})`];
  // The other spacings are a sampler's habit; this one is what few steps and zero terminal SNR want.
  if (isReplaced && own === "trailing") {
    const plain = named.schedule ? named.name.slice(0, -named.schedule.length - 1) : named.name;
    told.push(
      `noise levels are placed by ${placedBy}, not by the model's trailing timesteps: ` +
        `--sampler ${plain} --schedule trailing takes those`,
    );
  }
  if (told.length > 0) note?.(`Schedule: ${told.join("; ")}`);
}

/** Warns of experts that the job's sampler does not suit, and of marks of theirs that nothing follows from. */
export function warnOfExperts(
  { members }: Pick<Ensemble, "members">,
  { asked }: Pick<EnsemblingMethod, "asked">,
  { sampler = DEFAULT_SAMPLER, warn }: Pick<JobSpec, "sampler"> & { readonly warn: Tell },
): void {
  const names = expertNames(members);
  const drawnWith = findSampler(sampler).name;
  for (const [i, { expert: { description: { ownSchedule } } }] of members.entries()) {
    if (asked && !asked.includes(i)) continue;
    if (ownSchedule?.ignored !== undefined) {
      warn(`Expert "${names[i]}": ${ignoredMark(ownSchedule.ignored)}`);
    }
    if (!isSaid(ownSchedule)) continue;
    const { madeFor, source } = ownSchedule;
    if (madeFor === undefined || madeFor === drawnWith) continue;
    // Other samplers, many steps and much guidance spoil what a distilled model draws.
    warn(
      `Expert "${
        names[i]
      }" is made for few steps of ${madeFor} with little guidance (its ${source}): ` +
        `it is drawn with ${drawnWith}; ${distilledFlags(madeFor)} suits it`,
    );
  }
}
