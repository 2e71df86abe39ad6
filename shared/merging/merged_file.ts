/**
 * A merge as if it had been written to a file: every tensor has a place in it, and bytes are computed when they are read.
 * So whatever finds weights by path, offset and length runs a merge as it runs a file.
 *
 * @module
 */

import type { TensorSpec } from "../safetensors/writer.ts";
import type { FloatDType } from "../tensor/float64.ts";
import type { TensorEntry } from "../weight_file/tensor_file.ts";
import { byteLength, bytesOf } from "../tensor/tensor.ts";
import { type Merge, type OpenMerge, openMerge } from "./recipe.ts";
import { storedPieces, storedTensors } from "./stored_tensors.ts";

/** A merge, and what its result is rounded to. Plain data. */
export interface StoredMerge {
  readonly merge: Merge;
  /** @default each tensor's widest dtype among the models */
  readonly dtype?: FloatDType;
}

/** A merge whose inputs have been hashed. Plain data. */
export interface KnownMerge extends StoredMerge {
  /** Who it is, as `mergeHash()` says. */
  readonly hash: string;
}

/** Bytes of the file that is never written. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export class MergedFile implements Disposable {
  readonly opened: OpenMerge;
  /** By key in single files. */
  readonly entries: ReadonlyMap<string, TensorEntry>;

  private constructor(opened: OpenMerge, dtype: FloatDType | undefined) {
    this.opened = opened;
    this.entries = placed(storedTensors(opened.model, dtype));
  }

  /** @throws {TuttiError} as `openMerge()` */
  static async open({ merge, dtype }: StoredMerge): Promise<MergedFile> {
    return new MergedFile(await openMerge(merge), dtype);
  }

  /**
   * Computes a part of one tensor, a piece of it at a time.
   *
   * @throws {FormatError} if an input became shorter since it was opened
   */
  read({ offset, length }: ByteRange): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    const { name, dtype, begin } = this.#entryAt(offset);
    let at = begin - offset;
    for (const piece of storedPieces(this.opened.model.tensor(name), dtype as FloatDType)) {
      const part = bytesOf(piece).subarray(Math.max(0, -at), Math.max(0, length - at));
      if (part.length > 0) bytes.set(part, Math.max(0, at));
      at += piece.data.byteLength;
      if (at >= length) break;
    }
    return bytes;
  }

  #entryAt(offset: number): TensorEntry {
    for (const entry of this.entries.values()) {
      if (entry.begin <= offset && offset < entry.end) return entry;
    }
    throw new RangeError(`A merge has no tensor at byte ${offset}`);
  }

  [Symbol.dispose](): void {
    this.opened[Symbol.dispose]();
  }
}

function placed(specs: readonly TensorSpec[]): ReadonlyMap<string, TensorEntry> {
  let end = 0;
  return new Map(specs.map(({ name, dtype, shape }) => {
    const begin = end;
    end += byteLength(dtype, shape);
    return [name, { name, dtype, shape, begin, end }];
  }));
}
