/** A model that can be merged: a checkpoint in one file or a folder, or the result of another merge. @module */

import { detectFamily } from "../checkpoint/family.ts";
import { FAMILIES, type Family } from "../models/families.ts";
import { modernClipKey } from "../checkpoint/keymaps/clip.ts";
import { filePredictionType, type PredictionType } from "../checkpoint/prediction_type.ts";
import type { TensorEntry } from "../safetensors/header.ts";
import { PieceReader } from "../safetensors/piece_reader.ts";
import { SafetensorsFile } from "../safetensors/reader.ts";
import type { DataOf, DType } from "../tensor/dtype.ts";
import { type FloatDType, isFloat, widen } from "../tensor/float64.ts";
import { elementCount, type Shape, type Tensor } from "../tensor/tensor.ts";
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

  get dtype(): DType {
    return this.#entry.dtype;
  }

  get shape(): Shape {
    return this.#entry.shape;
  }

  /** As it is stored. A piece holds until the next one is asked for. */
  storedPieces(): Iterable<Tensor> {
    return this.#reader.pieces(this.#entry, PIECE_ELEMENTS);
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

/** A single `.safetensors` file. */
export class FileModel implements InputModel {
  readonly family: Family;
  readonly predictionType: PredictionType;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #path: string;
  readonly #entries: ReadonlyMap<string, TensorEntry>;
  readonly #reader: PieceReader;

  private constructor(file: SafetensorsFile, reader: PieceReader) {
    this.#path = file.path;
    this.family = detectFamily(file.entries, file.path);
    this.predictionType = filePredictionType(file);
    this.metadata = file.metadata;
    this.#entries = new Map([...file.entries].map(([key, entry]) => [todaysKey(key), entry]));
    this.#reader = reader;
  }

  /** @throws {FormatError} if the file is missing, damaged, or of a family that Tutti does not run */
  static async open(path: string): Promise<FileModel> {
    const file = await SafetensorsFile.open(path);
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
    return this.#entries;
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
