/**
 * Writes safetensors files that every reader of the format takes, and that never exist half: the bytes
 * go to a temporary file in the same folder, which then takes the target's name.
 *
 * @module
 */

import { type Code, FormatError, ShapeError, TuttiError } from "../errors.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { byteLength, bytesOf, formatType, type Tensor } from "../tensor/tensor.ts";
import { LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY } from "./header.ts";
import { show } from "../show.ts";

/** The data begins at a multiple of this, so that mapped memory can be viewed as any dtype. */
const DATA_ALIGNMENT = 8;

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
  const ordered = inFileOrder(tensors, path);
  const header = encodeHeader(ordered, metadata, path);
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    {
      using file = await Deno.open(temporary, { write: true, createNew: true });
      await writeAll(file, header);
      for (const [, tensor] of ordered) await writeAll(file, bytesOf(tensor));
      // Without this, a power failure after the rename could leave the new name with old emptiness.
      await file.sync();
    }
    await Deno.rename(temporary, path);
  } catch (cause) {
    await Deno.remove(temporary).catch(() => {/* Never created, or gone with its folder. */});
    throw new TuttiError(codeOf(cause), `Cannot write ${show(path)}: ${cause}`, { cause });
  }
}

/** Wide elements first: then each tensor is aligned to its own element size, without gaps. */
function inFileOrder(
  tensors: Readonly<Record<string, Tensor>>,
  path: string,
): readonly (readonly [string, Tensor])[] {
  const entries = Object.entries(tensors);
  for (const [name, tensor] of entries) {
    if (name === METADATA_KEY) {
      throw new FormatError(
        `A tensor of ${show(path)} must not be called "${METADATA_KEY}", the name of the metadata`,
      );
    }
    const expected = byteLength(tensor.dtype, tensor.shape);
    if (tensor.data.byteLength !== expected) {
      throw new ShapeError(
        `Tensor ${show(name)} of ${formatType(tensor.dtype, tensor.shape)} must have ` +
          `${expected} bytes: current count is ${tensor.data.byteLength}`,
      );
    }
  }
  return entries.sort(([nameA, a], [nameB, b]) =>
    DTYPES[b.dtype].bytes - DTYPES[a.dtype].bytes || (nameA < nameB ? -1 : 1)
  );
}

/** The length field and the JSON, padded with spaces to the alignment of the data. */
function encodeHeader(
  ordered: readonly (readonly [string, Tensor])[],
  metadata: Readonly<Record<string, string>> | undefined,
  path: string,
): Uint8Array {
  let offset = 0;
  const fields: [string, unknown][] = metadata === undefined ? [] : [[METADATA_KEY, metadata]];
  for (const [name, { dtype, shape, data }] of ordered) {
    const data_offsets = [offset, offset += data.byteLength];
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
