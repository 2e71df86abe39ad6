/**
 * Reads tensors of any size in little memory: a piece at a time, through one handle that stays open. `reader.ts` reads
 * whole tensors.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import type { TensorEntry } from "./header.ts";
import type { SafetensorsFile } from "./reader.ts";

export class PieceReader implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws {FormatError} if the file is gone since its header was read */
  static async open({ path }: Pick<SafetensorsFile, "path">): Promise<PieceReader> {
    try {
      return new PieceReader(path, await Deno.open(path, { read: true }));
    } catch (cause) {
      throw new FormatError(`Safetensors file ${show(path)} must be readable: ${cause}`, { cause });
    }
  }

  /**
   * The elements of a tensor in order, as flat tensors of `elements` each and a shorter last one. All share one
   * buffer: a piece holds until the next one is asked for.
   *
   * @throws {FormatError} if the file became shorter after its header was read
   */
  *pieces({ dtype, shape, begin }: TensorEntry, elements: number): Generator<Tensor> {
    const { bytes: size } = DTYPES[dtype];
    const total = elementCount(shape);
    const buffer = new Uint8Array(Math.min(elements, total) * size);
    for (let done = 0; done < total; done += elements) {
      const count = Math.min(elements, total - done);
      const piece = buffer.subarray(0, count * size);
      this.#fill(piece, begin + done * size);
      yield tensorFromBytes(dtype, [count], piece);
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #fill(piece: Uint8Array, begin: number): void {
    this.#file.seekSync(begin, Deno.SeekMode.Start);
    for (let filled = 0; filled < piece.byteLength;) {
      const count = this.#file.readSync(piece.subarray(filled));
      if (count === null) {
        throw new FormatError(
          `File ${show(this.#path)} must not change while it is in use: ` +
            `it now ends at byte ${begin + filled}, expected at least ${begin + piece.byteLength}`,
        );
      }
      filled += count;
    }
  }
}
