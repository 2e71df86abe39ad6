/**
 * A file of named tensors, whatever its format: where each one's bytes lie, and reading them by range. Opening a format is
 * the work of others (`open_weight_file.ts` chooses); a tensor costs its own bytes, and no file handle outlives a call.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { type DType, DTYPES } from "../tensor/dtype.ts";
import { gatherStrided } from "../tensor/strided.ts";
import { type Shape, type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import { openRegularFile, readRange } from "./read_range.ts";

export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** First byte of the tensor, counted from the start of the file. */
  readonly begin: number;
  /** One past the last byte, counted from the start of the file. */
  readonly end: number;
  /** Where elements do not lie in row-major order: how many elements further the next index of each axis is. */
  readonly strides?: readonly number[];
}

/** A tensor of a dtype that Tutti does not know: it is there, and cannot be read. */
export interface ForeignEntry {
  readonly name: string;
  /** As the file spells it. */
  readonly foreignDtype: string;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

export interface TensorFileContent {
  /** In the order of their bytes in the file. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** By name, as `entries`. */
  readonly foreign: ReadonlyMap<string, ForeignEntry>;
  /** Where the tensors' bytes begin, counted from the start of the file. */
  readonly dataStart: number;
}

export class TensorFile implements TensorFileContent {
  readonly path: string;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly foreign: ReadonlyMap<string, ForeignEntry>;
  readonly dataStart: number;

  constructor(path: string, { entries, metadata, foreign, dataStart }: TensorFileContent) {
    this.path = path;
    this.entries = entries;
    this.foreign = foreign;
    this.metadata = metadata;
    this.dataStart = dataStart;
  }

  /**
   * Reads one tensor.
   *
   * @throws {FormatError} if there is no such tensor, or the file became shorter since it was opened
   */
  async read(name: string): Promise<Tensor> {
    const entry = this.entry(name);
    using file = await openRegularFile(this.path);
    return await readTensor(file, entry, this.path);
  }

  /**
   * Reads several tensors through one file handle, in the order of their bytes. Names that are given
   * twice are read once.
   *
   * @throws {FormatError} as `read()`, before any byte is read where a name is unknown
   */
  async readMany(names: Iterable<string>): Promise<Map<string, Tensor>> {
    const entries = [...new Set(names)].map((name) => this.entry(name));
    entries.sort((a, b) => a.begin - b.begin);
    const tensors = new Map<string, Tensor>();
    if (entries.length === 0) return tensors;
    using file = await openRegularFile(this.path);
    for (const entry of entries) {
      tensors.set(entry.name, await readTensor(file, entry, this.path));
    }
    return tensors;
  }

  /** @throws {FormatError} if the file has no tensor of this name */
  entry(name: string): TensorEntry {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      const foreign = this.foreign.get(name);
      if (foreign) throw foreignDtypeError(foreign, this.path);
      throw new FormatError(
        `Tensor ${show(name)} must be in ${show(this.path)}: ` +
          `the file has ${this.entries.size} tensors, none of this name`,
        { details: { file: this.path, tensor: name } },
      );
    }
    return entry;
  }
}

/** The error for a tensor that is needed and cannot be read. */
export function foreignDtypeError({ name, foreignDtype }: ForeignEntry, path: string): FormatError {
  const known = Object.values(DTYPES).map(({ safetensors }) => safetensors).join(", ");
  return new FormatError(
    `Tensor ${show(name)} of ${show(path)} must have a dtype of ${known}: current value is ${
      show(foreignDtype)
    }`,
    { details: { file: path.slice(0, 1000), tensor: name.slice(0, 1000) } },
  );
}

async function readTensor(file: Deno.FsFile, entry: TensorEntry, path: string): Promise<Tensor> {
  return tensorFromBytes(
    entry.dtype,
    entry.shape,
    inOrder(entry, await readRange(file, entry, path)),
  );
}

/** The bytes of an entry in row-major order. */
export function inOrder(
  { dtype, shape, strides }: TensorEntry,
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  return strides ? gatherStrided(bytes, { shape, strides }, DTYPES[dtype].bytes) : bytes;
}
