/**
 * A recipe: merges in a TOML file, each of models and of results of other merges. Nothing is written in between. The
 * merge that no other one uses is the result; paths are relative to the file. A single merge may also be written inline,
 * as `{ models = ["a.safetensors", "b.safetensors"], alpha = 0.3 }`.
 *
 * @example
 * ```toml
 * dtype = "f16"                    # what the result is rounded to
 *
 * [[merge]]
 * name = "look"                    # how other merges name its result
 * method = "add-difference"
 * models = ["photo.safetensors", "anime.safetensors", "base.safetensors"]
 * alpha = 0.8
 *
 * [[merge]]
 * method = "weighted-sum"
 * models = ["look", "faces.toml"]  # another recipe's result
 * alpha = "GRAD_V"                 # a number, a preset, or 25 or 26 numbers
 * base = 0.5
 * ```
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { didYouMean } from "../terminal/did_you_mean.ts";
import { DTYPE_NAMES } from "../tensor/dtype_names.ts";
import type { FloatDType } from "../tensor/float64.ts";
import { parseToml, readToml } from "../toml/read_toml.ts";
import type { TomlFields } from "../toml/toml_fields.ts";
import type { StoredMerge } from "./merged_file.ts";
import { MERGE_METHODS } from "./methods/merge_methods.ts";
import { BASE_PARAMETER, type WrittenParameters } from "./parameters.ts";
import { defaultMethod, type Ingredient, type Merge } from "./recipe.ts";

/** More than anyone chains; each is a level of calls for every piece of a tensor. */
const MAX_MERGES = 100;

const MODELS_EXPECTED =
  'a list of files or folders ("./dreamy"), names of other merges, or recipes ("faces.toml")';
const DTYPE_EXPECTED = `one of ${Object.keys(DTYPE_NAMES).join(", ")}`;

const PARAMETERS = [
  ...new Set([
    ...Object.values(MERGE_METHODS).flatMap(({ parameters }) => Object.keys(parameters)),
    BASE_PARAMETER,
  ]),
];

export interface Recipe extends StoredMerge {
  /** For people. */
  readonly name: string;
  /** What `readRecipe()` reads as this recipe, from any working folder: an absolute path, or the inline form. */
  readonly text: string;
  /** Absolute paths of all recipe files that were read. */
  readonly files: readonly string[];
}

/**
 * Reads a recipe and all recipes that it uses.
 *
 * @param text a file's path, or the inline form
 * @param flag that gave the inline form, for messages
 * @throws {FormatError} naming file and key, if one is no recipe, uses what nobody makes, or its own result
 */
export async function readRecipe(text: string, flag = "recipe"): Promise<Recipe> {
  if (text.trimStart().startsWith("{")) {
    return await readInlineRecipe(parseToml(flag, "recipe", `merge = ${text}`).child("merge")!);
  }
  const file = resolve(text);
  const reader = new RecipeReader();
  const { merge, dtype } = await reader.read(file, []);
  return {
    ...{ name: plainName(file), text: file, merge, files: reader.files },
    ...(dtype && { dtype }),
  };
}

/**
 * Reads a recipe that is a table of some other file: one merge, of models and of results of recipe files.
 *
 * @throws {FormatError} as `readRecipe()`
 */
export async function readInlineRecipe(fields: TomlFields): Promise<Recipe> {
  fields.refuseUnknown(["method", "models", "dtype", ...PARAMETERS]);
  const reader = new RecipeReader();
  const step = { fields, models: fields.strings("models", MODELS_EXPECTED) };
  const merge = await reader.readSteps(fields, [step], []);
  const dtype = readDtype(fields);
  const written = fields.keys.map((key) => {
    const value = key === "models"
      ? step.models.map((name) => pathOf(fields, name))
      : fields.raw(key);
    // JSON's strings, numbers, and lists are TOML's, too.
    return `${key} = ${JSON.stringify(value)}`;
  });
  return {
    name: step.models.map(plainName).join("+"),
    text: `{ ${written.join(", ")} }`,
    merge,
    files: reader.files,
    ...(dtype && { dtype }),
  };
}

function readDtype(fields: TomlFields): FloatDType | undefined {
  if (!fields.has("dtype")) return undefined;
  const names: Readonly<Record<string, FloatDType>> = DTYPE_NAMES;
  return fields.value(
    "dtype",
    DTYPE_EXPECTED,
    (name) => typeof name === "string" && Object.hasOwn(names, name) ? names[name] : undefined,
  );
}

class RecipeReader {
  readonly #results = new Map<string, StoredMerge>();

  get files(): readonly string[] {
    return [...this.#results.keys()];
  }

  /** @param users the recipes that use this one, the first one first */
  async read(file: string, users: readonly string[]): Promise<StoredMerge> {
    if (users.includes(file)) throw circle("Recipe", [...users, file].slice(users.indexOf(file)));
    const known = this.#results.get(file);
    if (known) return known;
    const fields = await readToml(file, "recipe");
    fields.refuseUnknown(["dtype", "merge"]);
    const dtype = readDtype(fields);
    const merge = await this.readSteps(fields, readSteps(fields), [...users, file]);
    const result = { merge, ...(dtype && { dtype }) };
    this.#results.set(file, result);
    return result;
  }

  async readSteps(
    fields: TomlFields,
    steps: readonly Step[],
    users: readonly string[],
  ): Promise<Merge> {
    const recipes = new Map<string, Merge>();
    for (const name of steps.flatMap(({ models }) => models).filter(isRecipe)) {
      if (!steps.some((step) => step.name === name)) {
        // Its result is used as it is computed: what it would be rounded to in a file does not matter.
        recipes.set(name, (await this.read(pathOf(fields, name), users)).merge);
      }
    }
    return new StepTree(fields, steps, recipes).result();
  }
}

/** Of a file, a folder, or a recipe that a recipe names. */
function pathOf({ file }: TomlFields, name: string): string {
  return resolve(dirname(file), name);
}

/** What people call a model or recipe by. */
function plainName(path: string): string {
  return basename(path).replace(/\.(safetensors|toml)$/, "");
}

/** One `[[merge]]`. */
interface Step {
  readonly fields: TomlFields;
  readonly name?: string;
  readonly models: readonly string[];
}

function readSteps(fields: TomlFields): Step[] {
  const tables = fields.tables("merge");
  if (tables.length === 0 || tables.length > MAX_MERGES) {
    throw new FormatError(
      `${fields.file}: Recipe must have 1 to ${MAX_MERGES} merges, each headed by [[merge]]: ` +
        `current count is ${tables.length}`,
    );
  }
  const steps: Step[] = [];
  for (const table of tables) {
    table.refuseUnknown(["name", "method", "models", ...PARAMETERS]);
    const name = table.has("name") ? table.string("name", "a name for its result") : undefined;
    const twin = steps.findIndex((step) => name !== undefined && step.name === name);
    if (twin >= 0) throw table.error("name", `another one than that of merge[${twin}]`);
    const models = table.strings("models", MODELS_EXPECTED);
    steps.push({ fields: table, models, ...(name !== undefined && { name }) });
  }
  return steps;
}

/** The merges of one file, put together. */
class StepTree {
  readonly #file: TomlFields;
  readonly #steps: readonly Step[];
  readonly #recipes: ReadonlyMap<string, Merge>;
  readonly #merges = new Map<Step, Merge>();

  constructor(file: TomlFields, steps: readonly Step[], recipes: ReadonlyMap<string, Merge>) {
    this.#file = file;
    this.#steps = steps;
    this.#recipes = recipes;
  }

  /** The merge that no other one uses. */
  result(): Merge {
    // First, so that a circle is told as a circle and not as a recipe without a result.
    for (const step of this.#steps) this.#merge(step, []);
    const used = new Set(this.#steps.flatMap(({ models }) => models));
    const results = this.#steps.filter(({ name }) => name === undefined || !used.has(name));
    if (results.length === 1) return this.#merge(results[0]!, []);
    throw new FormatError(
      `${this.#file.file}: Recipe must have one result, a merge that no other one uses: ` +
        `nobody uses ${results.map(({ name, fields }) => show(name ?? fields.where)).join(", ")}`,
    );
  }

  #merge(step: Step, users: readonly Step[]): Merge {
    if (users.includes(step)) {
      const names = [...users.slice(users.indexOf(step)), step].map(({ name }) => name!);
      throw circle(`${this.#file.file}: Merge`, names);
    }
    const known = this.#merges.get(step);
    if (known) return known;
    const { fields } = step;
    const parameters = Object.fromEntries(
      fields.keys.filter((key) => PARAMETERS.includes(key)).map((key) => [key, fields.raw(key)]),
    ) as WrittenParameters;
    const merge: Merge = {
      name: step.name ?? `${fields.file}, ${fields.where}`,
      method: fields.has("method")
        ? fields.string("method", "a method's name")
        : defaultMethod(parameters),
      models: step.models.map((model) => this.#ingredient(model, step, users)),
      parameters,
      place: { file: fields.file, where: fields.where },
    };
    this.#merges.set(step, merge);
    return merge;
  }

  #ingredient(name: string, step: Step, users: readonly Step[]): Ingredient {
    const used = this.#steps.find((other) => other.name === name);
    if (used) return this.#merge(used, [...users, step]);
    const recipe = this.#recipes.get(name);
    if (recipe) return recipe;
    if (/[./\\]/.test(name)) return pathOf(this.#file, name);
    const names = this.#steps.flatMap(({ name }) => name ?? []);
    throw step.fields.error(
      "models",
      `${MODELS_EXPECTED}; ${show(name)} is none of them${didYouMean(name, names)}`,
    );
  }
}

function isRecipe(name: string): boolean {
  return name.endsWith(".toml");
}

function circle(what: string, names: readonly string[]): FormatError {
  return new FormatError(
    `${what} ${show(names[0])} must not use its own result: ${names.join(" uses ")}`,
  );
}
