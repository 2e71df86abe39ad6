/** All settings of a picture, from the few that somebody chose. @module */

import { chooseSettings, type ChosenSettings, type FileDefaults } from "./choose_settings.ts";
import { withUsualPreset } from "./presets.ts";
import { type GivenSettings, SETTINGS, type Settings } from "./settings.ts";

export interface PictureContext {
  /** Of the ensemble's file. */
  readonly defaults?: FileDefaults<Settings> | undefined;
  /** Whether pictures are drawn that were begun or drawn before: they mean what they meant then. @default false */
  readonly isAgain?: boolean;
}

/** An ensemble file with `[defaults]` says of all pictures how they are drawn; else it is the usual preset. */
export function pictureSettings(
  said: GivenSettings,
  { defaults, isAgain = false }: PictureContext,
): ChosenSettings<Settings> {
  const given = isAgain || defaults !== undefined ? said : withUsualPreset(said);
  return chooseSettings(SETTINGS, { given, defaults });
}
