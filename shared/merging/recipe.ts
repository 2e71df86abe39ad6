/** A merge to be made: a tree whose leaves are files and whose nodes are merges of what is below them. @module */

import { FormatError } from "../errors.ts";
import { FolderModel } from "./folder_model.ts";
import { MergedModel } from "./merged_model.ts";
import { FileModel, type InputModel, type MergeModel } from "./model.ts";
import { ParameterError } from "./parameter_error.ts";
import type { WrittenParameters } from "./parameters.ts";

/** Path of a single file or a diffusers folder, or a merge whose result is used. */
export type Ingredient = string | Merge;

/** Plain data, so that threads can be told of it. */
export interface Merge {
  /** For messages. */
  readonly name: string;
  /** A name in `MERGE_METHODS`. */
  readonly method: string;
  readonly models: readonly Ingredient[];
  readonly parameters: WrittenParameters;
  /** Where it is written down; absent for one that flags describe. */
  readonly place?: MergePlace;
}

/** A table of a TOML file. */
export interface MergePlace {
  readonly file: string;
  /** The table's key path; empty for the file's top level. */
  readonly where: string;
}

/** What is meant if nobody names a method. */
export function defaultMethod(parameters: WrittenParameters): string {
  return Object.hasOwn(parameters, "mbw") ? "mbw" : "weights";
}

/** A merge whose inputs are open. */
export interface OpenMerge extends Disposable {
  readonly model: MergedModel;
  /** Every file or folder once, by its path; the first model's comes first. */
  readonly inputs: ReadonlyMap<string, InputModel>;
}

/**
 * Opens all files below a merge and checks everything that can be wrong with it; nothing is computed yet.
 *
 * @throws {ParameterError} if a parameter of a merge without a place does not fit its method or models
 * @throws {FormatError} the same for one with a place; if a file is missing or damaged, or the models do not fit each other
 */
export async function openMerge(merge: Merge): Promise<OpenMerge> {
  const inputs = new Map<string, InputModel>();
  const close = () => inputs.forEach((input) => input[Symbol.dispose]());
  try {
    const model = await new Opening(inputs).open(merge) as MergedModel;
    return { model, inputs, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Opens every input and merge once, however often it is used. */
class Opening {
  readonly #inputs: Map<string, InputModel>;
  readonly #merges = new Map<Merge, MergedModel>();

  constructor(inputs: Map<string, InputModel>) {
    this.#inputs = inputs;
  }

  async open(ingredient: Ingredient): Promise<MergeModel> {
    return typeof ingredient === "string"
      ? await this.#openInput(ingredient)
      : await this.#openMerge(ingredient);
  }

  async #openInput(path: string): Promise<InputModel> {
    const known = this.#inputs.get(path);
    if (known) return known;
    const isFolder = await Deno.stat(path).then((found) => found.isDirectory, () => false);
    const input = await (isFolder ? FolderModel.open(path) : FileModel.open(path));
    this.#inputs.set(path, input);
    return input;
  }

  async #openMerge(merge: Merge): Promise<MergedModel> {
    const known = this.#merges.get(merge);
    if (known) return known;
    try {
      const models: MergeModel[] = [];
      for (const model of merge.models) models.push(await this.open(model));
      const opened = new MergedModel(merge.name, { ...merge, models });
      this.#merges.set(merge, opened);
      return opened;
    } catch (error) {
      throw error instanceof ParameterError && merge.place ? refusedAt(merge.place, error) : error;
    }
  }
}

function refusedAt({ file, where }: MergePlace, error: ParameterError): FormatError {
  const key = where === "" ? error.field : `${where}.${error.field}`;
  return new FormatError(`${file}: "${key}" ${error.message}`, {
    cause: error,
    details: { file, key },
  });
}
