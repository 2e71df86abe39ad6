/** A merge to be made: a tree whose leaves are files and whose nodes are merges of what is below them. @module */

import type { TuttiError } from "../../shared/errors.ts";
import { MergedModel } from "./merged_model.ts";
import { findMethod } from "./methods/merge_methods.ts";
import { FileModel, type MergeModel } from "./model.ts";
import { ParameterError } from "./parameter_error.ts";
import type { WrittenParameters } from "./parameters.ts";

/** A model's file, or a merge whose result is used. */
export type Ingredient = string | Merge;

export interface Merge {
  /** For messages. */
  readonly name: string;
  /** A name in `MERGE_METHODS`. */
  readonly method: string;
  readonly models: readonly Ingredient[];
  readonly parameters: WrittenParameters;
  /** Says where the parameter stands that does not fit: a flag, or a key of a file. */
  readonly refusal: (error: ParameterError) => TuttiError;
}

/** What is meant if nobody names a method. */
export function defaultMethod(parameters: WrittenParameters): string {
  return Object.hasOwn(parameters, "mbw") ? "mbw" : "weights";
}

/** A merge whose files are open. */
export interface OpenMerge extends Disposable {
  readonly model: MergedModel;
  /** Every file once, by its path. */
  readonly files: ReadonlyMap<string, FileModel>;
}

/**
 * Opens all files below a merge and checks everything that can be wrong with it; nothing is computed yet.
 *
 * @throws {TuttiError} of `refusal`, where a parameter does not fit its method or models
 * @throws {FormatError} if a file is missing or damaged, or the models do not fit each other
 */
export async function openMerge(merge: Merge): Promise<OpenMerge> {
  const files = new Map<string, FileModel>();
  const close = () => files.forEach((file) => file[Symbol.dispose]());
  try {
    const model = await new Opening(files).open(merge) as MergedModel;
    return { model, files, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Opens every file and merge once, however often it is used. */
class Opening {
  readonly #files: Map<string, FileModel>;
  readonly #merges = new Map<Merge, MergedModel>();

  constructor(files: Map<string, FileModel>) {
    this.#files = files;
  }

  async open(ingredient: Ingredient): Promise<MergeModel> {
    return typeof ingredient === "string"
      ? await this.#openFile(ingredient)
      : await this.#openMerge(ingredient);
  }

  async #openFile(path: string): Promise<FileModel> {
    const known = this.#files.get(path);
    if (known) return known;
    const file = await FileModel.open(path);
    this.#files.set(path, file);
    return file;
  }

  async #openMerge(merge: Merge): Promise<MergedModel> {
    const known = this.#merges.get(merge);
    if (known) return known;
    try {
      const method = findMethod(merge.method);
      const models: MergeModel[] = [];
      for (const model of merge.models) models.push(await this.open(model));
      const opened = new MergedModel(merge.name, method, models, merge.parameters);
      this.#merges.set(merge, opened);
      return opened;
    } catch (error) {
      throw error instanceof ParameterError ? merge.refusal(error) : error;
    }
  }
}
