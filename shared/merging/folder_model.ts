/**
 * A diffusers folder as a model that can be merged: its tensors under the keys that they would have in a single file, so
 * that folders and files merge with each other. Its VAE counts, too, if it has one.
 *
 * @module
 */

import { join } from "node:path";
import { exists } from "../checkpoint/exists.ts";
import { openDiffusersFolder, openVaeFolder } from "../checkpoint/diffusers_folder.ts";
import { predictionMetadata, type PredictionType } from "../checkpoint/prediction_type.ts";
import {
  type SingleFileTensor,
  text2SingleFileLayout,
  textSingleFileLayout,
  unetSingleFileLayout,
  vaeSingleFileLayout,
} from "../checkpoint/single_file_layout.ts";
import { FormatError } from "../errors.ts";
import { weightPaths } from "../checkpoint/model_hash.ts";
import type { Family } from "../models/families.ts";
import type { WeightLocation, WeightTable } from "../models/weights.ts";
import { show } from "../show.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { isFloat8 } from "../tensor/float8.ts";
import { spannedElements } from "../tensor/strided.ts";
import { elementCount, type Shape } from "../tensor/tensor.ts";
import { PieceReader } from "../weight_file/piece_reader.ts";
import { FileTensor, type InputModel, type TensorType } from "./model.ts";
import { PIECE_ELEMENTS, type Values } from "./values.ts";

/** A tensor of a single file, and the tensors of the folder that its rows are. */
interface FolderTensor extends TensorType {
  readonly sources: readonly WeightLocation[];
  readonly isTransposed: boolean;
}

/** Buffers that old exports carry along, and that a second text encoder has no name for in single files. */
const UNNAMED = /(^|\.)position_ids$/;

export class FolderModel implements InputModel {
  readonly name: string;
  readonly family: Family;
  readonly predictionType: PredictionType;
  readonly metadata: Readonly<Record<string, string>>;
  readonly paths: readonly string[];
  readonly tensors: ReadonlyMap<string, FolderTensor>;
  readonly #readers: ReadonlyMap<string, PieceReader>;

  private constructor(
    name: string,
    { family, predictionType }: Pick<FolderModel, "family" | "predictionType">,
    tensors: ReadonlyMap<string, FolderTensor>,
    readers: ReadonlyMap<string, PieceReader>,
  ) {
    this.name = name;
    this.family = family;
    this.predictionType = predictionType;
    this.metadata = predictionMetadata(predictionType);
    this.paths = [...readers.keys()];
    this.tensors = tensors;
    this.#readers = readers;
  }

  /** @throws {FormatError} if a part is missing or damaged, or the model is of a family that Tutti does not run */
  static async open(path: string): Promise<FolderModel> {
    const { family, unet, text, text2, ...parts } = await openDiffusersFolder(path);
    const vaeFolder = join(path, "vae");
    const vae = await exists(vaeFolder) ? await openVaeFolder(vaeFolder) : undefined;
    const tensors = new Map([
      ...named(unet.weights, (shapes) => unetSingleFileLayout(unet.config, shapes)),
      ...text ? named(text.weights, (shapes) => textSingleFileLayout(family, shapes)) : [],
      ...text2 ? named(nameable(text2.weights), text2SingleFileLayout) : [],
      ...vae ? named(vae.weights, (shapes) => vaeSingleFileLayout(vae.config, shapes)) : [],
    ]);
    const readers = new Map<string, PieceReader>();
    const tables = [unet, text, text2, vae].flatMap((part) => part?.weights ?? []);
    try {
      for (const file of weightPaths(...tables)) {
        readers.set(file, await PieceReader.open({ path: file }));
      }
    } catch (error) {
      for (const reader of readers.values()) reader[Symbol.dispose]();
      throw error;
    }
    return new FolderModel(path, { family, ...parts }, tensors, readers);
  }

  tensor(key: string): Values {
    const { shape, sources, isTransposed } = this.tensors.get(key)!;
    const parts = sources.map((source) => this.#fileTensor(source));
    if (parts.length > 1 || isTransposed || sources[0]!.strides) {
      return new JoinedTensor(shape, parts, isTransposed);
    }
    return this.#fileTensor({ ...sources[0]!, shape });
  }

  #fileTensor({ dtype, shape, path, offset, length, strides }: WeightLocation): FileTensor {
    const span = strides ? spannedElements({ shape, strides }) * DTYPES[dtype].bytes : length;
    const entry = {
      ...{ name: path, dtype, shape, begin: offset, end: offset + span },
      ...(strides && { strides }),
    };
    return new FileTensor(this.#readers.get(path)!, entry);
  }

  [Symbol.dispose](): void {
    for (const reader of this.#readers.values()) reader[Symbol.dispose]();
  }
}

/** Rows of several tensors one after another, or one tensor transposed. Held whole: only text encoders have such. */
class JoinedTensor implements Values {
  readonly shape: Shape;
  readonly #parts: readonly FileTensor[];
  readonly #isTransposed: boolean;

  constructor(shape: Shape, parts: readonly FileTensor[], isTransposed: boolean) {
    this.shape = shape;
    this.#parts = parts;
    this.#isTransposed = isTransposed;
  }

  *pieces(): Generator<Float64Array> {
    const all = this.#isTransposed ? transposed(this.#joined(), this.shape) : this.#joined();
    for (let start = 0; start < all.length; start += PIECE_ELEMENTS) {
      yield all.subarray(start, start + PIECE_ELEMENTS);
    }
  }

  #joined(): Float64Array {
    const all = new Float64Array(elementCount(this.shape));
    let filled = 0;
    for (const part of this.#parts) {
      for (const piece of part.pieces()) {
        all.set(piece, filled);
        filled += piece.length;
      }
    }
    return all;
  }
}

/** @param shape of the result, `[M, K]`; the elements are those of `[K, M]` */
function transposed(elements: Float64Array, [rows = 0, columns = 0]: Shape): Float64Array {
  return elements.map((_, i) => elements[(i % columns) * rows + Math.floor(i / columns)]!);
}

function named(
  table: WeightTable,
  layout: (shapes: ReadonlyMap<string, Shape>) => readonly SingleFileTensor[],
): (readonly [string, FolderTensor])[] {
  const shapes = new Map([...table].map(([key, { shape }]) => [key, shape]));
  return layout(shapes).map(({ key, shape, sources, isTransposed }) => {
    const locations = sources.map((source) => plain(source, table.get(source)!));
    const [{ dtype: stored }] = locations as [WeightLocation];
    // As in `FileTensor`.
    const dtype = isFloat8(stored) ? "float16" : stored;
    return [key, { dtype, shape, sources: locations, isTransposed }] as const;
  });
}

/** @throws {FormatError} if its bytes alone are not its values */
function plain(key: string, location: WeightLocation): WeightLocation {
  const { scale, foreignDtype, path } = location;
  if (!scale && foreignDtype === undefined) return location;
  const what = scale ? "no scales" : `a dtype that Tutti knows, not ${show(foreignDtype)},`;
  throw new FormatError(
    `Weights of ${show(path)} must have ${what} to be merged: current tensor is ${show(key)}. ` +
      "Merge the model in f16 or bf16",
  );
}

function nameable(table: WeightTable): WeightTable {
  return new Map([...table].filter(([key]) => !UNNAMED.test(key)));
}
