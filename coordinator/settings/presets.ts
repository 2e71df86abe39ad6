/** Settings that go together, by a name. @module */

import type { DistilledSampler } from "../../shared/checkpoint/own_schedule.ts";
import type { GivenSettings } from "./settings.ts";

export interface Preset {
  readonly summary: string;
  readonly settings: GivenSettings;
}

export const PRESETS = {
  paper: {
    summary: "DDIM, 50 steps, guidance 7.5",
    settings: { sampler: "ddim", steps: 50, guidance: 7.5 },
  },
  fast: {
    summary: "DPM++ 2M Karras, 25 steps, guidance 7",
    settings: { sampler: "dpmpp_2m_karras", steps: 25, guidance: 7 },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly PresetName[];

/** What a new command line means that says nothing of the kind. `docs/benchmarks.md` tells how near it comes to many steps. */
export const USUAL_PRESET = "fast" satisfies PresetName;

/** As their authors draw with distilled models: guidance is part of what those learned. */
const DISTILLED_PRESETS = {
  lcm: { sampler: "lcm", steps: 4, guidance: 1 },
  tcd: { sampler: "tcd", steps: 4, guidance: 1 },
} as const satisfies Readonly<Record<DistilledSampler, GivenSettings>>;

/** What to type to draw with a model that was distilled for a sampler. */
export function distilledFlags(madeFor: DistilledSampler): string {
  const { sampler, steps, guidance } = DISTILLED_PRESETS[madeFor];
  return `--sampler ${sampler} --steps ${steps} --guidance ${guidance}`;
}

/**
 * Adds the usual preset, below what was given. Whoever names a sampler, a schedule or a share of new noise has said how noise becomes a
 * picture: what is missing then is the table's default, as in records that were written before there were presets.
 *
 * @param madeFor where all experts were distilled for one sampler: then what they are made for is usual
 */
export function withUsualPreset(
  given: GivenSettings,
  madeFor?: DistilledSampler,
): GivenSettings {
  const { sampler, schedule, eta } = given;
  const isChosen = [sampler, schedule, eta].some((value) => value !== undefined);
  return isChosen ? given : firstGiven(
    given,
    madeFor === undefined ? PRESETS[USUAL_PRESET].settings : DISTILLED_PRESETS[madeFor],
  );
}

/** Each setting from the first of these that has it: flags, then a preset, then what a picture says. */
export function firstGiven(...sources: readonly GivenSettings[]): GivenSettings {
  const given = sources.toReversed().map((source) =>
    Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined))
  );
  return Object.assign({}, ...given);
}
