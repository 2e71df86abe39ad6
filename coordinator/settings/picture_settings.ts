/** All settings of a picture, from the few that somebody chose. @module */

import type { DistilledSampler } from "../../shared/checkpoint/own_schedule.ts";
import { chooseSettings, type ChosenSettings, type FileDefaults } from "./choose_settings.ts";
import { firstGiven, withUsualPreset } from "./presets.ts";
import { type GivenSettings, SETTINGS, type Settings } from "./settings.ts";

export interface PictureContext {
  /** Of the ensemble's file. */
  readonly defaults?: FileDefaults<Settings> | undefined;
  /** Of the user's own file. */
  readonly user?: FileDefaults<Settings> | undefined;
  /** The sampler that all experts were distilled for, where that is known. */
  readonly madeFor?: DistilledSampler | undefined;
  /** Whether pictures are drawn that were begun or drawn before: they mean what they meant then. @default false */
  readonly isAgain?: boolean;
}

/** An ensemble file with `[defaults]` says of all pictures how they are drawn; else it is the usual preset, or what distilled experts are made for. */
export function pictureSettings(
  said: GivenSettings,
  { defaults, user, madeFor, isAgain = false }: PictureContext,
): ChosenSettings<Settings> {
  const files = [defaults, user].filter((file) => file !== undefined);
  const isPreset = !isAgain && defaults === undefined;
  const layered = firstGiven(said, ...files.map(({ values }) => values));
  const usual = isPreset ? withUsualPreset(layered, madeFor) : {};
  return chooseSettings(SETTINGS, { given: said, files, usual });
}
