/**
 * Where the entries of a zip archive lie (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.5.3).
 * Only what `torch.save()` writes: entries that are stored as they are, in one file, in zip or zip64.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { type ByteRange, readRange } from "../weight_file/read_range.ts";

interface ZipEntry {
  readonly headerStart: number;
  readonly sizeBytes: number;
  /** Why the bytes are not those of the content, if so. */
  readonly encoding?: string;
}

const LOCAL_HEADER = 0x04034b50, CENTRAL_HEADER = 0x02014b50, END = 0x06054b50;
const END64 = 0x06064b50, END64_LOCATOR = 0x07064b50;
const LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20;
const MAX_COMMENT_BYTES = 0xffff;
const ZIP64_FIELD = 1;
/** What stands in a 32-bit field whose value is in the zip64 field. */
const IN_ZIP64 = 0xffffffff;
/** Of 100,000 entries with long names. Checked before memory is taken. */
const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024;

/** Whether a file that begins so is a zip archive. */
export function isZip(prefix: Uint8Array): boolean {
  return prefix.length >= 4 && viewOf(prefix).getUint32(0, true) === LOCAL_HEADER;
}

export class ZipIndex {
  readonly #file: Deno.FsFile;
  readonly #path: string;
  readonly #size: number;
  readonly #entries: ReadonlyMap<string, ZipEntry>;

  private constructor(
    file: Deno.FsFile,
    path: string,
    size: number,
    entries: ReadonlyMap<string, ZipEntry>,
  ) {
    this.#file = file;
    this.#path = path;
    this.#size = size;
    this.#entries = entries;
  }

  /**
   * Reads the list of entries at the end of the file.
   *
   * @param file which must stay open while the index is used
   * @throws {FormatError} if the archive is cut off or damaged
   */
  static async read(file: Deno.FsFile, path: string): Promise<ZipIndex> {
    const { size } = await file.stat();
    const { directory, count } = await findDirectory(file, path, size);
    if (directory.end - directory.begin > MAX_DIRECTORY_BYTES) {
      throw new FormatError(
        `List of entries of ${show(path)} must have at most ${MAX_DIRECTORY_BYTES} bytes: ` +
          `current length is ${directory.end - directory.begin}`,
      );
    }
    const bytes = await readRange(file, directory, path);
    return new ZipIndex(file, path, size, parseDirectory(bytes, count, path));
  }

  get names(): Iterable<string> {
    return this.#entries.keys();
  }

  /**
   * Where an entry's bytes lie in the file; `undefined` if there is no such entry.
   *
   * @throws {FormatError} if it is compressed or encrypted, or does not lie in the file
   */
  async locate(name: string): Promise<ByteRange | undefined> {
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { headerStart, sizeBytes, encoding } = entry;
    const where = `Entry ${show(name)} of ${show(this.#path)}`;
    if (encoding !== undefined) {
      throw new FormatError(
        `${where} must be stored as it is, as torch.save() does: it is ${encoding}`,
      );
    }
    const outside = () =>
      new FormatError(`${where} must lie in the file of ${this.#size} bytes: the file is damaged`);
    if (headerStart + LOCAL_BYTES > this.#size) throw outside();
    const header = await readRange(
      this.#file,
      { begin: headerStart, end: headerStart + LOCAL_BYTES },
      this.#path,
    );
    const view = viewOf(header);
    const [nameBytes, extraBytes] = [view.getUint16(26, true), view.getUint16(28, true)];
    const begin = headerStart + LOCAL_BYTES + nameBytes + extraBytes;
    const end = begin + sizeBytes;
    if (view.getUint32(0, true) !== LOCAL_HEADER || end > this.#size) throw outside();
    return { begin, end };
  }
}

async function findDirectory(
  file: Deno.FsFile,
  path: string,
  size: number,
): Promise<{ readonly directory: ByteRange; readonly count: number }> {
  const cut = new FormatError(
    `File ${show(path)} must be a whole zip archive, as torch.save() writes: ` +
      "its list of entries at the end is missing. It is cut off: download it again",
  );
  const tailStart = Math.max(0, size - END_BYTES - MAX_COMMENT_BYTES - LOCATOR_BYTES);
  const tail = await readRange(file, { begin: tailStart, end: size }, path);
  const view = viewOf(tail);
  let at = tail.length - END_BYTES;
  while (at >= 0 && !isEnd(view, at)) at--;
  if (at < 0) throw cut;
  let [count, length, begin] = [
    view.getUint16(at + 10, true),
    view.getUint32(at + 12, true),
    view.getUint32(at + 16, true),
  ];
  const locator = at - LOCATOR_BYTES;
  if (locator >= 0 && view.getUint32(locator, true) === END64_LOCATOR) {
    const end64 = wholeNumber(view, locator + 8);
    if (end64 + END64_BYTES > size) throw cut;
    const record = viewOf(
      await readRange(file, { begin: end64, end: end64 + END64_BYTES }, path),
    );
    if (record.getUint32(0, true) !== END64) throw cut;
    [count, length, begin] = [32, 40, 48].map((offset) => wholeNumber(record, offset)) as [
      number,
      number,
      number,
    ];
  }
  if (begin + length > tailStart + at) throw cut;
  return { directory: { begin, end: begin + length }, count };
}

/** Whether the end record is here: its comment reaches to the end of the file. */
function isEnd(view: DataView, at: number): boolean {
  return view.getUint32(at, true) === END &&
    at + END_BYTES + view.getUint16(at + 20, true) === view.byteLength;
}

function parseDirectory(
  bytes: Uint8Array,
  count: number,
  path: string,
): ReadonlyMap<string, ZipEntry> {
  const damaged = () =>
    new FormatError(`List of entries of ${show(path)} is damaged: download the file again`);
  const view = viewOf(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (; at + CENTRAL_BYTES <= bytes.length && view.getUint32(at, true) === CENTRAL_HEADER;) {
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) =>
      view.getUint16(at + offset, true)
    ) as [number, number, number];
    const nameStart = at + CENTRAL_BYTES;
    const extraStart = nameStart + nameBytes;
    const next = extraStart + extraBytes + commentBytes;
    if (next > bytes.length) throw damaged();
    const name = new TextDecoder().decode(bytes.subarray(nameStart, extraStart));
    const wide = zip64Values(bytes.subarray(extraStart, extraStart + extraBytes));
    // The field holds those of these three, in this order, that do not fit into 32 bits.
    const [sizeBytes, , headerStart] = [24, 20, 42].map((offset) => {
      const value = view.getUint32(at + offset, true);
      return value === IN_ZIP64 ? wide.shift() ?? value : value;
    }) as [number, number, number];
    if (entries.has(name)) {
      throw new FormatError(`Archive ${show(path)} must name ${show(name)} only once`);
    }
    const encoding = flags & 1 ? "encrypted" : method === 0 ? undefined : "compressed";
    entries.set(name, { headerStart, sizeBytes, ...(encoding && { encoding }) });
    at = next;
  }
  if (at !== bytes.length || entries.size !== count) throw damaged();
  return entries;
}

/** The values of an entry's zip64 field, if it has one. */
function zip64Values(extra: Uint8Array): number[] {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length;) {
    const [id, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)];
    at += 4;
    if (id === ZIP64_FIELD) {
      const end = Math.min(at + length, extra.length);
      const values: number[] = [];
      for (; at + 8 <= end; at += 8) values.push(wholeNumber(view, at));
      return values;
    }
    at += length;
  }
  return [];
}

/** Numbers beyond 2^53 are beyond any file, too, and stay so when they are rounded. */
function wholeNumber(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
