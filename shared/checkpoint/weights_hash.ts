/**
 * Who a model is whatever files hold it: SHA-256 over the tensors of U-Net and text encoders, sorted by their names in a
 * diffusers folder, each with dtype, shape and bytes. So a folder and a single file of one model agree, which `modelHash()`
 * keeps apart.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import type { WeightLocation, WeightTable } from "../models/weights.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { gatherStrided, spannedElements } from "../tensor/strided.ts";
import { openRegularFile, readRange } from "../weight_file/read_range.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { cachedHash, weightPaths } from "./model_hash.ts";

/** To be raised when the hash of the same tensors becomes another. */
const VERSION = 1;
/** Read size while hashing. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** What some files carry along and no graph asks for; the projection counts where the pooled states are taken. */
const BUFFERS = /(^|\.)(position_ids|logit_scale)$/;
const PROJECTION = /^text_projection(\.weight)?$/;
/** OpenCLIP multiplies from the right: the transpose of transformers' `text_projection.weight`. */
const OPEN_CLIP_PROJECTION = "text_projection";

type Tensors = (readonly [name: string, location: WeightLocation])[];

/**
 * Reads all weights unless the hash is known.
 *
 * @param checkpoint of files, without LoRAs
 * @throws {FormatError} if a file became shorter since it was opened
 */
export async function weightsHash(
  { unet, text, text2 }: Pick<Checkpoint, "unet" | "text" | "text2">,
): Promise<string> {
  const tensors = [
    ...named("unet", unet.weights),
    ...(text ? named("text_encoder", text.weights, PROJECTION) : []),
    ...(text2 ? named("text_encoder_2", text2.weights) : []),
  ].sort(([a], [b]) => a < b ? -1 : 1);
  const paths = weightPaths(new Map(tensors)).sort();
  const facts = ["weights", VERSION, JSON.stringify(tensors)];
  return await cachedHash(paths, facts, () => hashTensors(tensors));
}

function named(part: string, table: WeightTable, unused?: RegExp): Tensors {
  return [...table].filter(([key]) => !BUFFERS.test(key) && !unused?.test(key))
    .map(([key, location]) =>
      key === OPEN_CLIP_PROJECTION
        ? [`${part}.${key}.weight`, transposed(location)]
        : [`${part}.${key}`, location]
    );
}

function transposed(location: WeightLocation): WeightLocation {
  const [rows = 1, columns = 1] = location.shape;
  const [down, right] = location.strides ?? [columns, 1];
  return { ...location, shape: [columns, rows], strides: [right!, down!] };
}

async function hashTensors(tensors: Tensors): Promise<string> {
  using files = new DisposableStack();
  const open = new Map<string, Deno.FsFile>();
  const hash = createHash("sha256");
  for (const [name, location] of tensors) {
    for (const each of location.scale ? [location, location.scale] : [location]) {
      const { path, dtype, shape } = each;
      const file = open.get(path) ?? files.use(await openRegularFile(path));
      open.set(path, file);
      // The bytes that follow are as many as these say.
      hash.update(JSON.stringify([name, dtype, shape]));
      await hashBytes(hash, file, each);
    }
  }
  return hash.digest("hex");
}

async function hashBytes(hash: Hash, file: Deno.FsFile, location: WeightLocation): Promise<void> {
  const { path, offset, length, shape, strides, dtype } = location;
  if (strides) {
    const { bytes } = DTYPES[dtype], layout = { shape, strides };
    const end = offset + spannedElements(layout) * bytes;
    hash.update(gatherStrided(await readRange(file, { begin: offset, end }, path), layout, bytes));
    return;
  }
  for (let begin = offset; begin < offset + length; begin += CHUNK_BYTES) {
    const end = Math.min(begin + CHUNK_BYTES, offset + length);
    hash.update(await readRange(file, { begin, end }, path));
  }
}
