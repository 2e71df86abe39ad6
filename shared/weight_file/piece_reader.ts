/**
 * Reads tensors of any size in little memory: a piece at a time, through one handle that stays open. `reader.ts` reads
 * whole tensors.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { changedFile } from "./read_range.ts";
import { inOrder, type TensorEntry, type TensorFile } from "./tensor_file.ts";
import { show } from "../show.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Tensor, tensorFromBytes } from "../tensor/tensor.ts";

export class PieceReader implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws {FormatError} if the file is gone since its header was read */
  static async open({ path }: Pick<TensorFile, "path">): Promise<PieceReader> {
    try {
      return new PieceReader(path, await Deno.open(path, { read: true }));
    } catch (cause) {
      throw new FormatError(`Weight file ${show(path)} must be readable: ${cause}`, { cause });
    }
  }

  /**
   * The elements of a tensor in order, as flat tensors of `elements` each and a shorter last one. All share one
   * buffer: a piece holds until the next one is asked for.
   *
   * @throws {FormatError} if the file became shorter after its header was read
   */
  *pieces(entry: TensorEntry, elements: number): Generator<Tensor> {
    const { dtype, shape, begin } = entry;
    const { bytes: size } = DTYPES[dtype];
    const total = elementCount(shape);
    if (entry.strides) {
      const bytes = this.#inOrder(entry);
      for (let done = 0; done < total; done += elements) {
        const count = Math.min(elements, total - done);
        yield tensorFromBytes(dtype, [count], bytes.subarray(done * size, (done + count) * size));
      }
      return;
    }
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

  /** A tensor out of order is read whole: what its pieces need may lie anywhere in it. */
  #inOrder(entry: TensorEntry): Uint8Array<ArrayBuffer> {
    const span = new Uint8Array(entry.end - entry.begin);
    this.#fill(span, entry.begin);
    return inOrder(entry, span);
  }

  #fill(piece: Uint8Array, begin: number): void {
    this.#file.seekSync(begin, Deno.SeekMode.Start);
    for (let filled = 0; filled < piece.byteLength;) {
      const count = this.#file.readSync(piece.subarray(filled));
      if (count === null) {
        throw changedFile(this.#path, begin + filled, begin + piece.byteLength);
      }
      filled += count;
    }
  }
}
