/** Safetensors files of full size whose tensors are holes: for tests that read headers alone. @module */

import type { Shape } from "../../shared/tensor/tensor.ts";

/** dtype as safetensors spells it, and shape */
export type SparseTensor = readonly [dtype: string, shape: Shape];

const BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

export async function writeSparse(
  path: string,
  tensors: Readonly<Record<string, SparseTensor>>,
): Promise<void> {
  let at = 0;
  const fields = Object.entries(tensors).map(([name, [dtype, shape]]) => {
    const begin = at;
    at += shape.reduce((product, dim) => product * dim, BYTES[dtype]!);
    return [name, { dtype, shape, data_offsets: [begin, at] }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(fields)));
  const bytes = new Uint8Array(8 + header.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  await Deno.writeFile(path, bytes);
  await Deno.truncate(path, bytes.length + at);
}
