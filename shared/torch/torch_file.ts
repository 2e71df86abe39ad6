/**
 * Opens what `torch.save()` writes since torch 1.6 (`.ckpt`, `.pt`, `.pth`, `.bin`): a zip archive with a pickle that
 * names the tensors, and one entry per storage. The storages are stored as they are, so each tensor is a range
 * of the file, as in a safetensors file, and stays there until somebody wants it.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { isContiguous, spannedElements } from "../tensor/strided.ts";
import { byteLength, formatType } from "../tensor/tensor.ts";
import { type ByteRange, openRegularFile, readRange } from "../weight_file/read_range.ts";
import { type TensorEntry, TensorFile } from "../weight_file/tensor_file.ts";
import { readPickle } from "./pickle.ts";
import { namedTensors } from "./named_tensors.ts";
import { damaged, torchReader, type TorchTensor } from "./torch_names.ts";
import { ZipIndex } from "./zip_index.ts";

const PICKLE = "data.pkl";
/** A checkpoint of 10,000 tensors has 2 MB. Objects take some ten times what the pickle does. */
const MAX_PICKLE_BYTES = 32 * 1024 * 1024;
const BIG_ENDIAN = "big";

/**
 * Reads the list of tensors; nothing that the file names is executed.
 *
 * @throws {FormatError} if the archive is cut off or damaged, is none of torch's, names something that is no
 *   tensor, or has tensors that do not lie in their storages
 */
export async function openTorchFile(path: string): Promise<TensorFile> {
  using file = await openRegularFile(path);
  const zip = await ZipIndex.read(file, path);
  const pickle = pickleName(zip, path);
  const folder = pickle.slice(0, -PICKLE.length);
  const range = (await zip.locate(pickle))!;
  if (range.end - range.begin > MAX_PICKLE_BYTES) {
    throw new FormatError(
      `Pickle of ${show(path)} must have at most ${MAX_PICKLE_BYTES} bytes: ` +
        `current length is ${range.end - range.begin}`,
    );
  }
  await checkByteOrder(file, await zip.locate(`${folder}byteorder`), path);
  const root = readPickle(await readRange(file, range, path), torchReader(path), path);
  const storages = new Map<string, ByteRange>();
  const entries: TensorEntry[] = [];
  for (const [name, tensor] of namedTensors(root, path)) {
    const { key } = tensor.storage;
    const storage = storages.get(key) ?? await zip.locate(`${folder}data/${key}`);
    if (!storage) throw damaged(path, `storage ${show(key)} of ${show(name)} is missing`);
    storages.set(key, storage);
    entries.push(tensorEntry(name, tensor, storage, path));
  }
  entries.sort((a, b) => a.begin - b.begin);
  return new TensorFile(path, {
    entries: new Map(entries.map((entry) => [entry.name, entry])),
    metadata: {},
    foreign: new Map(),
    dataStart: 0,
  });
}

function pickleName(zip: ZipIndex, path: string): string {
  const names = [...zip.names];
  const pickles = names.filter((name) => name === PICKLE || name.endsWith(`/${PICKLE}`));
  if (names.some((name) => name.endsWith("constants.pkl"))) {
    throw new FormatError(
      `Model file ${show(path)} must hold tensors: this is a TorchScript program (torch.jit.save)`,
    );
  }
  if (pickles.length === 1) return pickles[0]!;
  throw new FormatError(
    `Zip archive ${show(path)} must be one that torch.save() wrote, with one "${PICKLE}": ` +
      `it has ${pickles.length} among ${names.length} entries. An archive of files is to be unpacked first`,
  );
}

async function checkByteOrder(
  file: Deno.FsFile,
  range: ByteRange | undefined,
  path: string,
): Promise<void> {
  if (!range || range.end - range.begin !== BIG_ENDIAN.length) return;
  const order = new TextDecoder().decode(await readRange(file, range, path));
  if (order !== BIG_ENDIAN) return;
  throw new FormatError(
    `Tensors of ${show(path)} must be little-endian: they were saved on a big-endian machine`,
  );
}

function tensorEntry(
  name: string,
  { dtype, storage, offset, shape, strides }: TorchTensor,
  { begin, end }: ByteRange,
  path: string,
): TensorEntry {
  const where = `Tensor ${show(name)} of ${show(path)}`;
  const storageBytes = storage.elements * DTYPES[storage.dtype].bytes;
  if (!(storageBytes <= end - begin)) {
    throw new FormatError(
      `${where} must lie in its file: its storage must have ${storageBytes} bytes, ` +
        `the archive has ${end - begin}`,
    );
  }
  const { bytes } = DTYPES[dtype];
  const span = spannedElements({ shape, strides });
  // Views that repeat elements (expanded tensors) could be larger than any memory.
  if (!((offset + span) * bytes <= storageBytes && byteLength(dtype, shape) <= storageBytes)) {
    throw new FormatError(
      `${where} of ${formatType(dtype, shape.slice(0, 16))} must lie in its storage of ` +
        `${storageBytes} bytes: current offset is ${offset}, strides are ${show(strides)}`,
    );
  }
  const first = begin + offset * bytes;
  return {
    name,
    dtype,
    shape,
    begin: first,
    end: first + span * bytes,
    ...(!isContiguous({ shape, strides }) && { strides }),
  };
}
