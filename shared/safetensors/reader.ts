/**
 * Reads tensors out of a safetensors file by ranges: opening costs the header, a tensor costs its own
 * bytes. No file handle outlives a call.
 *
 * @module
 */

import { FormatError, TuttiError } from "../errors.ts";
import { type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import { refuseForeignFormat, SNIFFED_BYTES } from "./foreign_formats.ts";
import { LENGTH_BYTES, parseHeader, parseHeaderLength, type TensorEntry } from "./header.ts";
import { show } from "../show.ts";

export class SafetensorsFile {
  readonly path: string;
  /** In the order of their bytes in the file. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;

  private constructor(
    path: string,
    entries: ReadonlyMap<string, TensorEntry>,
    metadata: Readonly<Record<string, string>>,
  ) {
    this.path = path;
    this.entries = entries;
    this.metadata = metadata;
  }

  /**
   * Reads and checks the header.
   *
   * @throws {FormatError} if the file is missing, no regular file, something else than safetensors, or
   *   its header is wrong in any way
   */
  static async open(path: string): Promise<SafetensorsFile> {
    using file = await openRegularFile(path);
    const { size } = await file.stat();
    const prefix = await readAt(file, { begin: 0, end: Math.min(size, SNIFFED_BYTES) }, path);
    refuseForeignFormat(prefix, path);
    const length = parseHeaderLength(prefix, size, path);
    const range = { begin: LENGTH_BYTES, end: LENGTH_BYTES + length };
    const header = parseHeader(await readAt(file, range, path), size, path);
    return new SafetensorsFile(path, header.entries, header.metadata);
  }

  /**
   * Reads one tensor.
   *
   * @throws {FormatError} if there is no such tensor, or the file became shorter after `open()`
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
      throw new FormatError(
        `Tensor ${show(name)} must be in ${show(this.path)}: ` +
          `the file has ${this.entries.size} tensors, none of this name`,
        { details: { file: this.path, tensor: name } },
      );
    }
    return entry;
  }
}

async function openRegularFile(path: string): Promise<Deno.FsFile> {
  let isFile: boolean;
  try {
    // Asked before opening: opening a named pipe would wait for a writer.
    ({ isFile } = await Deno.stat(path));
    if (isFile) return await Deno.open(path, { read: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new FormatError(`Safetensors file ${show(path)} must exist`, { cause });
    }
    throw new FormatError(`Safetensors file ${show(path)} must be readable: ${cause}`, { cause });
  }
  throw new FormatError(`Safetensors file ${show(path)} must be a file: it is a folder or device`);
}

async function readTensor(file: Deno.FsFile, entry: TensorEntry, path: string): Promise<Tensor> {
  const bytes = await readAt(file, entry, path);
  return tensorFromBytes(entry.dtype, entry.shape, bytes);
}

/** The bytes `begin` to `end` of a file. */
async function readAt(
  file: Deno.FsFile,
  { begin, end }: { readonly begin: number; readonly end: number },
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocate(end - begin, path);
  await file.seek(begin, Deno.SeekMode.Start);
  for (let filled = 0; filled < bytes.byteLength;) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) {
      throw new FormatError(
        `File ${show(path)} must not change while it is in use: ` +
          `it now ends at byte ${begin + filled}, expected at least ${end}`,
      );
    }
    filled += count;
  }
  return bytes;
}

/** The header check bounds `size` by the file's own; a sparse file can still be larger than memory. */
function allocate(size: number, path: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    throw new TuttiError(
      "RESOURCE_EXHAUSTED",
      `Cannot allocate ${size} bytes for a tensor of ${show(path)}`,
      { cause },
    );
  }
}
