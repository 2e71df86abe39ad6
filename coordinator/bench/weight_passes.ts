/**
 * What loading a model cannot do without: its files are read once, and its weights become the floats that processors compute
 * with. A worker's first step is held against these.
 *
 * @module
 */

import type { WeightLocation, WeightTable } from "../../shared/models/weights.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import { float8ToFloat16, isFloat8 } from "../../shared/tensor/float8.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../../shared/tensor/half.ts";
import { openRegularFile, readRange } from "../../shared/weight_file/read_range.ts";

export interface WeightPasses {
  readonly readMs: number;
  readonly convertMs: number;
}

/** One weight after the other, on one core, into memory that is new each time; nothing of it is kept. */
export async function timeWeightPasses(
  tables: readonly WeightTable[],
  signal?: AbortSignal,
): Promise<WeightPasses> {
  let readMs = 0, convertMs = 0;
  for (const location of tables.flatMap((table) => [...table.values()])) {
    throwIfAborted(signal);
    const start = performance.now();
    const { path, offset, length } = location;
    using file = await openRegularFile(path);
    const bytes = await readRange(file, { begin: offset, end: offset + length }, path);
    const read = performance.now();
    toFloat32(location, bytes);
    readMs += read - start;
    convertMs += performance.now() - read;
  }
  return { readMs, convertMs };
}

function toFloat32({ dtype }: WeightLocation, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const halves = isFloat8(dtype)
    ? float8ToFloat16(dtype, bytes)
    : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
  if (dtype === "bfloat16") return bfloat16ToFloat32(halves);
  if (dtype === "float16" || isFloat8(dtype)) return float16ToFloat32(halves);
  if (dtype === "float64") return new Float32Array(new Float64Array(bytes.buffer));
  return new Float32Array(bytes.buffer);
}
