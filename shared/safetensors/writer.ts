/**
 * Writes safetensors files that every reader of the format takes, and that never exist half: the bytes
 * go to a temporary file in the same folder, which then takes the target's name.
 *
 * @module
 */

import { type Code, FormatError, ShapeError, TuttiError } from "../errors.ts";
import { type DType, DTYPES } from "../tensor/dtype.ts";
import { byteLength, bytesOf, formatType, type Shape, type Tensor } from "../tensor/tensor.ts";
import { LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY } from "./header.ts";
import { show } from "../show.ts";

/** The data begins at a multiple of this, so that mapped memory can be viewed as any dtype. */
const DATA_ALIGNMENT = 8;

/** A tensor to write, whose data comes later. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/**
 * Writes tensors and metadata to `path`, replacing a file that is there.
 *
 * @throws {FormatError} if a name cannot be stored or the header would be too large to be read again
 * @throws {ShapeError} if a tensor's data has another length than its dtype and shape
 * @throws {TuttiError} if the file cannot be written; the target is then as it was before
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const specs = Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  for (const spec of specs) checkLength(spec, tensors[spec.name]!);
  await streamSafetensors(path, specs, ({ name }) => [tensors[name]!], metadata);
}

/**
 * The file as `writeSafetensors()` would write it, in memory.
 *
 * @throws {FormatError | ShapeError} as `writeSafetensors()`
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const specs = Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  for (const spec of specs) checkLength(spec, tensors[spec.name]!);
  const ordered = inFileOrder(specs, "memory");
  const header = encodeHeader(ordered, metadata, "memory");
  const data = ordered.map(({ name }) => bytesOf(tensors[name]!));
  const total = data.reduce((sum, { byteLength }) => sum + byteLength, header.byteLength);
  const bytes = new Uint8Array(total);
  let offset = 0;
  for (const part of [header, ...data]) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

/**
 * Like `writeSafetensors`, for files larger than memory: each tensor's data is asked for when it is its turn, in
 * pieces that make it up.
 *
 * @param piecesOf the tensor's elements in order, as tensors of its dtype
 * @throws {ShapeError} if the pieces are more or fewer than the tensor
 */
export async function streamSafetensors(
  path: string,
  specs: readonly TensorSpec[],
  piecesOf: (spec: TensorSpec) => Iterable<Tensor>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const ordered = inFileOrder(specs, path);
  const header = encodeHeader(ordered, metadata, path);
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      await writeAll(file, header);
      for (const spec of ordered) await writePieces(file, spec, piecesOf(spec));
      // Without this, a power failure after the rename could leave the new name with old emptiness.
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {/* Never created, or gone with its folder. */});
    if (cause instanceof TuttiError) throw cause;
    throw new TuttiError(codeOf(cause), `Cannot write ${show(path)}: ${cause}`, { cause });
  }
}

async function writePieces(
  file: Deno.FsFile,
  { name, dtype, shape }: TensorSpec,
  pieces: Iterable<Tensor>,
): Promise<void> {
  const expected = byteLength(dtype, shape);
  let written = 0;
  for (const piece of pieces) {
    await writeAll(file, bytesOf(piece));
    written += piece.data.byteLength;
  }
  if (written !== expected) throw lengthError({ name, dtype, shape }, written);
}

function checkLength(spec: TensorSpec, { data }: Tensor): void {
  if (data.byteLength !== byteLength(spec.dtype, spec.shape)) {
    throw lengthError(spec, data.byteLength);
  }
}

function lengthError({ name, dtype, shape }: TensorSpec, current: number): ShapeError {
  return new ShapeError(
    `Tensor ${show(name)} of ${formatType(dtype, shape)} must have ` +
      `${byteLength(dtype, shape)} bytes: current count is ${current}`,
  );
}

/** Wide elements first: then each tensor is aligned to its own element size, without gaps. */
function inFileOrder(specs: readonly TensorSpec[], path: string): readonly TensorSpec[] {
  if (specs.some(({ name }) => name === METADATA_KEY)) {
    throw new FormatError(
      `A tensor of ${show(path)} must not be called "${METADATA_KEY}", the name of the metadata`,
    );
  }
  return specs.toSorted((a, b) =>
    DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes || (a.name < b.name ? -1 : 1)
  );
}

/** The length field and the JSON, padded with spaces to the alignment of the data. */
function encodeHeader(
  ordered: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>> | undefined,
  path: string,
): Uint8Array {
  let offset = 0;
  const fields: [string, unknown][] = metadata === undefined ? [] : [[METADATA_KEY, metadata]];
  for (const { name, dtype, shape } of ordered) {
    const data_offsets = [offset, offset += byteLength(dtype, shape)];
    fields.push([name, { dtype: DTYPES[dtype].safetensors, shape, data_offsets }]);
  }
  // fromEntries defines keys, where assignment would lose a tensor called "__proto__".
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(fields)));
  const length = Math.ceil(json.byteLength / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  if (length > MAX_HEADER_BYTES) {
    throw new FormatError(
      `Header of ${show(path)} must have at most ${MAX_HEADER_BYTES} bytes: ` +
        `current length is ${length}`,
    );
  }
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(" ".charCodeAt(0));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.byteLength;) {
    written += await file.write(bytes.subarray(written));
  }
}

function codeOf(cause: unknown): Code {
  if (cause instanceof Deno.errors.NotFound) return "NOT_FOUND";
  if (cause instanceof Deno.errors.PermissionDenied) return "PERMISSION_DENIED";
  return "UNKNOWN";
}
