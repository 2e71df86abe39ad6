/**
 * The header of a safetensors file, from bytes to checked entries. Pure: no file is opened here, and
 * nothing is believed: every number is compared with the file's size before anyone allocates by it.
 * Layout: u64 little-endian length N, N bytes of JSON, then the tensors' bytes
 * (https://github.com/huggingface/safetensors, "Format").
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { dtypeFromSafetensors, DTYPES } from "../tensor/dtype.ts";
import { formatType } from "../tensor/tensor.ts";
import type { ForeignEntry, TensorEntry, TensorFileContent } from "../weight_file/tensor_file.ts";
import { duplicateKey, valueCount } from "./json_keys.ts";
import { show } from "../show.ts";

/** Bytes of the length field in front of the header. */
export const LENGTH_BYTES = 8;

/** The largest header that is read: where the reference implementation stops. */
export const MAX_HEADER_BYTES = 100_000_000;

/**
 * Values that a header may have, counted by the commas and brackets outside its texts. What is large in honest headers is text (what
 * a LoRA was trained on); 100 MB of brackets would grow to over 2 GB of objects and 20 s of parsing, which a hostile file could use to
 * end the process. This is enough for 200,000 tensors.
 */
const MAX_HEADER_VALUES = 2 ** 21;

const BYTE_ORDER_MARK = "\uFEFF";

/** The key of a header that holds the metadata, so no tensor can have this name. */
export const METADATA_KEY = "__metadata__";

const KNOWN_DTYPES = Object.values(DTYPES).map((info) => info.safetensors).join(", ");

/**
 * Whether a file may be safetensors at all: the length field fits the file, and JSON begins after it.
 *
 * @param prefix the file's first bytes
 */
export function isPlausibleHeader(prefix: Uint8Array, fileSize: number): boolean {
  if (prefix.byteLength <= LENGTH_BYTES) return false;
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const length = view.getBigUint64(0, true);
  const json = new TextDecoder("latin1").decode(prefix.subarray(LENGTH_BYTES)).trimStart();
  return length <= BigInt(Math.min(MAX_HEADER_BYTES, fileSize - LENGTH_BYTES)) &&
    (json === "" || json.startsWith("{"));
}

/**
 * The header's length from the first 8 bytes of a file.
 *
 * @param prefix the file's first bytes, as many as there are up to 8 (more are ignored)
 * @throws {FormatError} if the file ends before the header does, or the length is 0 or over the limit
 */
export function parseHeaderLength(prefix: Uint8Array, fileSize: number, path: string): number {
  if (fileSize < LENGTH_BYTES || prefix.byteLength < LENGTH_BYTES) {
    throw new FormatError(
      `Safetensors file ${show(path)} must have at least ${LENGTH_BYTES} bytes: ` +
        `current size is ${Math.min(fileSize, prefix.byteLength)}`,
    );
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const length = view.getBigUint64(0, true);
  if (length === 0n) {
    throw new FormatError(`Header of ${show(path)} must not be empty: current length is 0`);
  }
  if (length > BigInt(fileSize - LENGTH_BYTES)) {
    throw new FormatError(
      `Header of ${show(path)} must lie in the file of ${fileSize} bytes: ` +
        `current length is ${length}; the file is truncated or no safetensors file: download it again`,
    );
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new FormatError(
      `Header of ${show(path)} must have at most ${MAX_HEADER_BYTES} bytes: ` +
        `current length is ${length}`,
    );
  }
  return Number(length);
}

/**
 * Checks a header against the size of its file. Tensors must cover the data without overlaps, gaps or
 * trailing bytes: the reference implementation refuses those too, so no file that works elsewhere is
 * lost, and no byte of a checkpoint escapes its hash or hides a payload.
 *
 * @param headerBytes the JSON part, without the length in front
 * @param fileSize bytes of the whole file
 * @param path named in errors, never opened
 * @throws {FormatError} naming the file, the tensor, the value and what was expected
 */
export function parseHeader(
  headerBytes: Uint8Array,
  fileSize: number,
  path: string,
): TensorFileContent {
  const dataStart = LENGTH_BYTES + headerBytes.byteLength;
  if (dataStart > fileSize) {
    throw new FormatError(
      `Header of ${show(path)} must lie in the file of ${fileSize} bytes: ` +
        `current length is ${headerBytes.byteLength}`,
    );
  }
  const entries: (TensorEntry | ForeignEntry)[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(parseJsonObject(headerBytes, path))) {
    if (name === METADATA_KEY) metadata = parseMetadata(value, path);
    else entries.push(parseEntry(name, value, { dataStart, fileSize, path }));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(entries, { dataStart, fileSize, path });
  const known = new Map<string, TensorEntry>();
  const foreign = new Map<string, ForeignEntry>();
  for (const entry of entries) {
    if ("dtype" in entry) known.set(entry.name, entry);
    else foreign.set(entry.name, entry);
  }
  return { entries: known, foreign, metadata, dataStart };
}

interface FileLayout {
  readonly dataStart: number;
  readonly fileSize: number;
  readonly path: string;
}

function parseJsonObject(bytes: Uint8Array, path: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`Header of ${show(path)} must be UTF-8`, { cause });
  }
  if (text.startsWith(BYTE_ORDER_MARK)) {
    throw new FormatError(
      `Header of ${
        show(path)
      } must be JSON: it begins with a byte order mark, which a program that edits text has ` +
        "put there; get the file anew, or write it again with the safetensors library",
    );
  }
  checkValues(text, path);
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(
      `Header of ${show(path)} must be JSON: current text begins with ${show(text.slice(0, 20))}`,
      { cause },
    );
  }
  if (!isObject(header)) {
    throw new FormatError(
      `Header of ${show(path)} must be a JSON object: current value is ${show(header)}`,
    );
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new FormatError(`Header of ${show(path)} must name ${show(twice)} only once`);
  }
  return header;
}

/** To be called before the text is parsed. */
function checkValues(text: string, path: string): void {
  const count = valueCount(text);
  if (count <= MAX_HEADER_VALUES) return;
  throw new FormatError(
    `Header of ${
      show(path)
    } must have at most ${MAX_HEADER_VALUES} values: current count is ${count}`,
  );
}

function parseMetadata(value: unknown, path: string): Readonly<Record<string, string>> {
  if (!isObject(value)) {
    throw new FormatError(
      `Metadata of ${show(path)} must be an object of strings: current value is ${show(value)}`,
    );
  }
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") {
      throw new FormatError(
        `Metadata ${show(key)} of ${show(path)} must be a string: current value is ${show(item)}`,
      );
    }
  }
  return value as Record<string, string>;
}

function parseEntry(name: string, value: unknown, file: FileLayout): TensorEntry | ForeignEntry {
  const where = `Tensor ${show(name)} of ${show(file.path)}`;
  const details = { file: file.path.slice(0, 1000), tensor: name.slice(0, 1000) };
  const refuse = (message: string) => new FormatError(`${where} ${message}`, { details });

  if (!isObject(value)) {
    throw refuse(`must be described by an object: current value is ${show(value)}`);
  }
  const dtypeName = value.dtype;
  if (typeof dtypeName !== "string") {
    throw refuse(`must have a dtype of ${KNOWN_DTYPES}: current value is ${show(dtypeName)}`);
  }
  const dtype = dtypeFromSafetensors(dtypeName);

  const shape = value.shape;
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw refuse(
      `must have a shape of whole numbers from 0 to 2^53 - 1: current value is ${show(shape)}`,
    );
  }
  let bytes: number = dtype === undefined ? 1 : DTYPES[dtype].bytes;
  for (const dim of shape) {
    bytes *= dim;
    if (!Number.isSafeInteger(bytes)) {
      throw refuse(`must have fewer than 2^53 bytes: current shape is ${show(shape)}`);
    }
  }

  const offsets = value.data_offsets;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw refuse(
      `must have data_offsets of two whole numbers from 0 to 2^53 - 1: ` +
        `current value is ${show(offsets)}`,
    );
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) {
    throw refuse(`must have data_offsets in ascending order: current value is [${begin}, ${end}]`);
  }
  const dataBytes = file.fileSize - file.dataStart;
  if (end > dataBytes) {
    throw refuse(
      `must lie in the ${dataBytes} bytes of data that the file has: ` +
        `current data_offsets are [${begin}, ${end}]; the file may be truncated: download it again`,
    );
  }
  const range = { begin: file.dataStart + begin, end: file.dataStart + end };
  // How many bytes its elements should have, nobody knows here.
  if (dtype === undefined) return { name, foreignDtype: dtypeName, shape, ...range };
  if (end - begin !== bytes) {
    throw refuse(
      `of ${formatType(dtype, shape.slice(0, 16))} must have ${bytes} bytes: ` +
        `current data_offsets [${begin}, ${end}] span ${end - begin}`,
    );
  }
  return { name, dtype, shape, ...range };
}

/** Entries in file order must follow each other without overlap or gap, up to the end of the file. */
function checkCoverage(entries: readonly (TensorEntry | ForeignEntry)[], file: FileLayout): void {
  let covered = file.dataStart;
  let previous: TensorEntry | ForeignEntry | undefined;
  for (const entry of entries) {
    if (entry.begin < covered) {
      throw new FormatError(
        `Tensor ${show(entry.name)} of ${show(file.path)} must not overlap ` +
          `${show(previous?.name)}: it begins at byte ${entry.begin}, the other ends at ${covered}`,
      );
    }
    if (entry.begin > covered) {
      throw new FormatError(
        `Tensor ${show(entry.name)} of ${show(file.path)} must begin at byte ${covered}, ` +
          `where the bytes before it end: current value is ${entry.begin}`,
      );
    }
    covered = entry.end;
    previous = entry;
  }
  if (covered !== file.fileSize) {
    throw new FormatError(
      `File ${show(file.path)} must end with its last tensor at byte ${covered}: ` +
        `current size is ${file.fileSize}`,
    );
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whole numbers that index bytes exactly. JSON can spell -0, which no size is. */
function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}
