/**
 * What the file of a merge says about itself, in the two keys that web UIs write and show: `sd_merge_recipe` is how it
 * was made, `sd_merge_models` of what, by the SHA-256 of each file.
 *
 * @module
 */

import { basename } from "node:path";
import project from "../../deno.json" with { type: "json" };
import type { InputModel } from "../../shared/merging/model.ts";
import type { Ingredient, Merge } from "../../shared/merging/recipe.ts";

const RECIPE_KEY = "sd_merge_recipe";
const MODELS_KEY = "sd_merge_models";
/** Without the second one readers take a model of velocities for one of noise. */
const KEPT_KEYS = ["modelspec.architecture", "modelspec.prediction_type"];

/** A model that was merged. */
export interface HashedInput {
  readonly model: InputModel;
  /** Hex. */
  readonly sha256: string;
}

/**
 * @param files all inputs of the merge by their paths
 * @returns metadata for the file of the result
 */
export function mergeMetadata(
  merge: Merge,
  files: ReadonlyMap<string, HashedInput>,
): Record<string, string> {
  const [first] = [...files.values()];
  const kept = KEPT_KEYS.flatMap((key) => {
    const value = first!.model.metadata[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  return {
    format: "pt",
    ...Object.fromEntries(kept),
    [RECIPE_KEY]: JSON.stringify({
      type: "tutti",
      version: project.version,
      ...recipeOf(merge, files),
    }),
    [MODELS_KEY]: JSON.stringify(modelsOf(files)),
  };
}

/** Names files by their hashes: paths are nobody else's business, and say nothing elsewhere. */
function recipeOf(
  ingredient: Ingredient,
  files: ReadonlyMap<string, HashedInput>,
): Record<string, unknown> {
  if (typeof ingredient === "string") {
    return { model: basename(ingredient), sha256: files.get(ingredient)!.sha256 };
  }
  const { method, parameters, models } = ingredient;
  return { method, ...parameters, models: models.map((model) => recipeOf(model, files)) };
}

/** The files, and what these say of the files that they were merged from. */
function modelsOf(files: ReadonlyMap<string, HashedInput>): Record<string, unknown> {
  const models: Record<string, unknown> = {};
  for (const [path, { model: { metadata }, sha256 }] of files) {
    Object.assign(models, parsed(metadata[MODELS_KEY]) ?? {});
    models[sha256] = {
      name: basename(path),
      sd_merge_recipe: parsed(metadata[RECIPE_KEY]) ?? null,
    };
  }
  return models;
}

/** An object in JSON; `undefined` for anything else that a file may hold there. */
function parsed(text: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text ?? "");
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? value as Record<string, unknown> : undefined;
  } catch {
    return undefined;
  }
}
