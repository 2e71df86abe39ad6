/**
 * The manifests of a folder of goldens (`test/goldens/README.md`): which files there are, how each check is run, and
 * how near the numbers must be. Nothing about sizes or experts is known otherwise.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../../shared/errors.ts";
import { readRegularText } from "../../shared/regular_file.ts";

/** The top `manifest.json`. */
export interface RootManifest {
  readonly folders: readonly string[];
  readonly schedulers?: { readonly file: string; readonly tolerance: number };
  readonly noise?: { readonly file: string; readonly tolerance: number };
  readonly tokenizer?: { readonly folder: string; readonly optional?: boolean };
}

/** One family's `manifest.json`. */
export interface FamilyManifest {
  readonly family: string;
  readonly experts: readonly string[];
  readonly vae?: string;
  readonly sabw?: string;
  readonly scheduler?: string;
  readonly uncond_input_ids?: readonly number[];
  readonly single_files?: readonly SingleFile[];
  readonly tolerance: Readonly<Record<string, number | string>>;
  readonly checks: Readonly<Record<string, CheckSpec>>;
}

export interface SingleFile {
  readonly file: string;
  readonly same_weights_as: string;
  readonly vae?: string;
  readonly config_from: string;
  readonly tolerance?: number;
}

/** What a check says about itself; which fields it has depends on the check. */
export interface CheckSpec {
  readonly file: string;
  readonly expert?: number;
  readonly inputs?: readonly string[];
  readonly expect?: readonly string[];
  readonly pairs?: readonly (readonly [string, string])[];
  readonly inputs_from?: string;
  /** Another file of expected tensors: gradients of the aggregators' weights. */
  readonly parameters?: string;
  readonly num_inference_steps?: number;
  readonly guidance_scale?: number;
  readonly scheduler?: string;
  readonly eta?: number;
  readonly tolerance?: number;
}

export async function readRootManifest(folder: string): Promise<RootManifest> {
  const manifest = await readJson(join(folder, "manifest.json")) as RootManifest;
  if (!Array.isArray(manifest.folders)) {
    throw new FormatError(`Manifest "${join(folder, "manifest.json")}" must list "folders"`);
  }
  return manifest;
}

export async function readFamilyManifest(folder: string): Promise<FamilyManifest> {
  const path = join(folder, "manifest.json");
  const manifest = await readJson(path) as FamilyManifest;
  for (
    const [key, is] of [["experts", Array.isArray], ["checks", isObject], [
      "tolerance",
      isObject,
    ]] as const
  ) {
    if (!is(manifest[key])) throw new FormatError(`Manifest "${path}" must have "${key}"`);
  }
  return manifest;
}

/** A tolerance by name; a manifest without it is wrong, since a check that cannot fail proves nothing. */
export function toleranceOf(
  { tolerance }: FamilyManifest,
  name: string,
  spec?: { readonly tolerance?: number },
): number {
  const value = spec?.tolerance ?? tolerance[name];
  if (typeof value === "number" && value >= 0) return value;
  throw new FormatError(
    `Manifest must give a "${name}" tolerance as a number >= 0: current value is ${
      JSON.stringify(value)
    }`,
  );
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readRegularText(path));
  } catch (cause) {
    throw new FormatError(`Cannot read manifest "${path}": ${(cause as Error).message}`, { cause });
  }
}

const isObject = (value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value);
