/**
 * A recipe: merges in a TOML file, each of files and of results of other merges. Nothing is written in between. The
 * merge that no other one uses is the result; paths are relative to the file.
 *
 * @example
 * ```toml
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

import { dirname, resolve } from "node:path";
import { FormatError } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { readToml } from "../../shared/toml/read_toml.ts";
import type { TomlFields } from "../../shared/toml/toml_fields.ts";
import { MERGE_METHODS } from "./methods/merge_methods.ts";
import { BASE_PARAMETER, type WrittenParameters } from "./parameters.ts";
import { defaultMethod, type Ingredient, type Merge } from "./recipe.ts";

/** More than anyone chains; each is a level of calls for every piece of a tensor. */
const MAX_MERGES = 100;

const MODELS_EXPECTED = 'a list of files, names of other merges, or recipes ("faces.toml")';

const PARAMETERS = [
  ...new Set([
    ...Object.values(MERGE_METHODS).flatMap(({ parameters }) => Object.keys(parameters)),
    BASE_PARAMETER,
  ]),
];

export interface Recipe {
  readonly merge: Merge;
  /** Absolute paths of all recipe files that were read. */
  readonly files: readonly string[];
}

/**
 * Reads a recipe and all recipes that it uses.
 *
 * @throws {FormatError} naming file and key, if one is no recipe, uses what nobody makes, or its own result
 */
export async function readRecipe(path: string): Promise<Recipe> {
  const reader = new RecipeReader();
  const merge = await reader.read(resolve(path), []);
  return { merge, files: reader.files };
}

class RecipeReader {
  readonly #results = new Map<string, Merge>();

  get files(): readonly string[] {
    return [...this.#results.keys()];
  }

  /** @param users the recipes that use this one, the first one first */
  async read(file: string, users: readonly string[]): Promise<Merge> {
    if (users.includes(file)) throw circle("Recipe", [...users, file].slice(users.indexOf(file)));
    const known = this.#results.get(file);
    if (known) return known;
    const fields = await readToml(file, "recipe");
    fields.refuseUnknown(["merge"]);
    const steps = readSteps(fields);
    const recipes = new Map<string, Merge>();
    for (const name of steps.flatMap(({ models }) => models).filter(isRecipe)) {
      if (!steps.some((step) => step.name === name)) {
        recipes.set(name, await this.read(resolve(dirname(file), name), [...users, file]));
      }
    }
    const result = new StepTree(fields, steps, recipes).result();
    this.#results.set(file, result);
    return result;
  }
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
      refusal: (error) =>
        new FormatError(`${fields.file}: "${fields.pathOf(error.field)}" ${error.message}`, {
          cause: error,
          details: { file: fields.file, key: fields.pathOf(error.field) },
        }),
    };
    this.#merges.set(step, merge);
    return merge;
  }

  #ingredient(name: string, step: Step, users: readonly Step[]): Ingredient {
    const used = this.#steps.find((other) => other.name === name);
    if (used) return this.#merge(used, [...users, step]);
    const recipe = this.#recipes.get(name);
    if (recipe) return recipe;
    if (/[./\\]/.test(name)) return resolve(dirname(this.#file.file), name);
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
