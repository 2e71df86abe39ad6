/** What a command is to draw: one prompt, or every line of a file of prompts. @module */

import { FormatError, TuttiError, UsageError } from "../../shared/errors.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import type { EnsemblePlan } from "../ensemble/ensemble_plan.ts";
import { flagRefusal } from "../jobs/flag_refusal.ts";
import type { JobSpec } from "../jobs/job_spec.ts";
import { prepareJob } from "../jobs/prepare_job.ts";
import { defaultMethod, fittingMethod, methodFiles } from "../sampling/methods/methods.ts";
import { type Masks, readMasks } from "../sampling/methods/regions/mask.ts";
import type { MethodDefinition } from "../sampling/methods/definition.ts";
import type { ChosenSettings, SettingOrigins } from "../settings/choose_settings.ts";
import { type PictureContext, pictureSettings } from "../settings/picture_settings.ts";
import { firstGiven } from "../settings/presets.ts";
import type { GivenSettings, Settings } from "../settings/settings.ts";
import { type PromptLine, readPromptsFile } from "./prompts_file.ts";

/** A prompt with everything that was said about its pictures. */
export interface WantedPicture {
  readonly prompt: string;
  readonly chosen: ChosenSettings<Settings>;
  /** The line of a file that wants it, for errors. */
  readonly where?: string;
}

export interface PictureJob {
  readonly spec: JobSpec;
  readonly origins: SettingOrigins;
  readonly where?: string;
}

/** A line of a file, or a prompt of the command line. */
type Wish = Omit<PromptLine, "where"> & Partial<Pick<PromptLine, "where">>;

/**
 * @param prompts of the command line
 * @param file `--prompts`
 * @throws {UsageError} without any prompt, or with both
 * @throws {FormatError} as `readPromptsFile()`
 */
export async function readWishes(
  prompts: readonly string[],
  file: string | undefined,
): Promise<readonly Wish[]> {
  if (file !== undefined && prompts.length > 0) {
    throw new UsageError("A prompt and --prompts contradict each other: leave one out");
  }
  if (file !== undefined) return await readPromptsFile(file);
  if (prompts.length > 0) return prompts.map((prompt) => ({ prompt, settings: {} }));
  throw new UsageError("missing required argument 'prompt'");
}

export interface WishContext extends PictureContext {
  /** What flags say: a line's own settings win over it. */
  readonly given: GivenSettings;
}

export function wantedPicture(
  { prompt, settings, where }: Wish,
  { given: flags, ...context }: WishContext,
): WantedPicture {
  const chosen = pictureSettings(firstGiven(settings, flags), context);
  return { prompt, chosen, ...(where !== undefined && { where }) };
}

/** Refuses a method that does not fit, as far as that can be told before experts are open. */
export function methodOf({ chosen, where }: WantedPicture, plan: EnsemblePlan): MethodDefinition {
  const { settings: { method, guidance, aggregate, sampler, eta }, origins } = chosen;
  const hasSabw = plan.sabw.kind === "trained";
  return inLine(where, origins, () =>
    fittingMethod(method ?? defaultMethod(hasSabw), {
      hasSabw,
      guidanceScale: guidance,
      sampler: { name: sampler, eta },
      aggregated: aggregate,
    }));
}

/** The files that methods name. */
export async function masksOf(methods: readonly (string | undefined)[]): Promise<Masks> {
  const files = methods.flatMap((method) => method === undefined ? [] : methodFiles(method));
  return await readMasks([...new Set(files)]);
}

/** Refuses what the experts cannot draw, before the first of several pictures is begun. */
export function checkJobs(
  ensemble: Ensemble,
  jobs: readonly PictureJob[],
  masks: Masks,
): void {
  for (const { spec, origins, where } of jobs) {
    inLine(where, origins, () => prepareJob(ensemble, spec, { masks, warn: () => {} }));
  }
}

/** A refusal, with the line of the file that asked for what is refused. */
export function refusalIn(where: string | undefined, error: unknown): unknown {
  if (where === undefined || !(error instanceof TuttiError)) return error;
  if (error.code !== "INVALID_ARGUMENT") return error;
  const { message, details } = error;
  return new FormatError(`${where}: ${message}`, { cause: error, details });
}

function inLine<T>(where: string | undefined, origins: SettingOrigins, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw refusalIn(where, flagRefusal(error, origins));
  }
}
