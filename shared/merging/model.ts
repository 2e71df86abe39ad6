/** A model that can be merged: a checkpoint in one file or a folder, or the result of another merge. @module */

import { detectFamily } from "../checkpoint/family.ts";
import { modernClipKey } from "../checkpoint/keymaps/clip.ts";
import { openModelFile } from "../checkpoint/model_file.ts";
import { filePredictionType, type PredictionType } from "../checkpoint/prediction_type.ts";
import { SCALE } from "../checkpoint/scaled_weights.ts";
import { FormatError } from "../errors.ts";
import { FAMILIES, type Family } from "../models/families.ts";
import { show } from "../show.ts";
import type { DataOf, DType } from "../tensor/dtype.ts";
import { float8ToFloat16, isFloat8 } from "../tensor/float8.ts";
import { type FloatDType, isFloat, widen } from "../tensor/float64.ts";
import { elementCount, makeTensor, type Shape, type Tensor } from "../tensor/tensor.ts";
import { PieceReader } from "../weight_file/piece_reader.ts";
import {
  foreignDtypeError,
  type TensorEntry,
  type TensorFile,
} from "../weight_file/tensor_file.ts";
import { PIECE_ELEMENTS, type Values } from "./values.ts";

export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface MergeModel {
  /** For messages. */
  readonly name: string;
  readonly family: Family;
  readonly predictionType: PredictionType;
  /** By key in single files, as today's files spell it. */
  readonly tensors: ReadonlyMap<string, TensorType>;
  /** A tensor of `tensors`. */
  tensor(key: string): Values;
}

/** A model that lies on disk. It stays open until it is disposed of. */
export interface InputModel extends MergeModel, Disposable {
  /** Of a single file. */
  readonly metadata: Readonly<Record<string, string>>;
  /** All files that hold weights of it. */
  readonly paths: readonly string[];
}

/** A tensor that lies in a file. */
export class FileTensor implements Values {
  readonly #reader: PieceReader;
  readonly #entry: TensorEntry;

  constructor(reader: PieceReader, entry: TensorEntry) {
    this.#reader = reader;
    this.#entry = entry;
  }

  /** 8-bit floats count as f16, in which they are exact: sums of them would lose most of their digits. */
  get dtype(): DType {
    return isFloat8(this.#entry.dtype) ? "float16" : this.#entry.dtype;
  }

  get shape(): Shape {
    return this.#entry.shape;
  }

  /** As it is stored, or in `dtype`. A piece holds until the next one is asked for. */
  *storedPieces(): Generator<Tensor> {
    for (const piece of this.#reader.pieces(this.#entry, PIECE_ELEMENTS)) {
      const { dtype, shape, data } = piece;
      yield isFloat8(dtype)
        ? makeTensor("float16", shape, float8ToFloat16(dtype, data as Uint8Array))
        : piece;
    }
  }

  *pieces(): Generator<Float64Array> {
    const buffer = new Float64Array(Math.min(PIECE_ELEMENTS, elementCount(this.shape)));
    for (const { dtype, data } of this.storedPieces()) {
      const piece = buffer.subarray(0, data.length);
      if (isFloat(dtype)) widen(dtype, data as DataOf<FloatDType>, piece);
      else for (let i = 0; i < piece.length; i++) piece[i] = Number(data[i]);
      yield piece;
    }
  }
}

/** A model in a single file. */
export class FileModel implements InputModel {
  readonly family: Family;
  readonly predictionType: PredictionType;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #path: string;
  readonly #entries: ReadonlyMap<string, TensorEntry>;
  readonly #tensors: ReadonlyMap<string, TensorType>;
  readonly #reader: PieceReader;

  private constructor(file: TensorFile, reader: PieceReader) {
    this.#path = file.path;
    // A copy of bytes that nobody here can read would say nothing about the merge; others can do without.
    for (const entry of file.foreign.values()) {
      if (entry.name.includes("model")) throw foreignDtypeError(entry, file.path);
    }
    const scale = [...file.entries.keys()].find((key) => SCALE.test(key));
    if (scale !== undefined) {
      throw new FormatError(
        `Weights of ${show(file.path)} must not have scales to be merged: it has ${show(scale)}. ` +
          "Merge the model in f16 or bf16",
      );
    }
    this.family = detectFamily(file.entries, file.path);
    this.predictionType = filePredictionType(file);
    this.metadata = file.metadata;
    this.#reader = reader;
    this.#entries = new Map([...file.entries].map(([key, entry]) => [todaysKey(key), entry]));
    this.#tensors = new Map(this.#entries.keys().map((key) => [key, this.tensor(key)]));
  }

  /** @throws {FormatError} if the file is missing, damaged, or of a family that Tutti does not run */
  static async open(path: string): Promise<FileModel> {
    const file = await openModelFile(path);
    const reader = await PieceReader.open(file);
    try {
      return new FileModel(file, reader);
    } catch (error) {
      reader[Symbol.dispose]();
      throw error;
    }
  }

  get name(): string {
    return this.#path;
  }

  get paths(): readonly string[] {
    return [this.#path];
  }

  get tensors(): ReadonlyMap<string, TensorType> {
    return this.#tensors;
  }

  tensor(key: string): FileTensor {
    return new FileTensor(this.#reader, this.#entries.get(key)!);
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }
}

/** Old files leave a level out of their text encoder's keys: without it they would share no key with newer files. */
function todaysKey(key: string): string {
  return key.startsWith(FAMILIES.sd15.textPrefix)
    ? FAMILIES.sd15.textPrefix + modernClipKey(key.slice(FAMILIES.sd15.textPrefix.length))
    : key;
}
