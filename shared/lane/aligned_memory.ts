/**
 * Memory at addresses that a vector load likes. Kernels treat the elements before the first aligned address apart, so
 * the same numbers at another alignment are summed in another order: bit identity needs one alignment for all.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { byteLength, bytesOf, type Shape, type Tensor, tensorFromBytes } from "../tensor/tensor.ts";

/** What ONNX Runtime's own allocator uses: a cache line, and the widest vector register. */
const ALIGNMENT_BYTES = 64;

/** Address of the first byte of a tensor that has elements. */
export function addressOf({ data }: Tensor): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(data));
}

/** A tensor of zeros at an aligned address. */
export function alignedTensor<D extends DType>(dtype: D, shape: Shape): Tensor<D> {
  const length = byteLength(dtype, shape);
  const bytes = new Uint8Array(length + ALIGNMENT_BYTES);
  const past = Number(
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)) % BigInt(ALIGNMENT_BYTES),
  );
  const start = (ALIGNMENT_BYTES - past) % ALIGNMENT_BYTES;
  return tensorFromBytes(dtype, shape, bytes.subarray(start, start + length));
}

function isAligned(tensor: Tensor): boolean {
  return tensor.data.byteLength === 0 || addressOf(tensor) % BigInt(ALIGNMENT_BYTES) === 0n;
}

/**
 * The tensor itself.
 *
 * @throws {ShapeError} if it is not aligned
 */
export function checkAligned(tensor: Tensor): Tensor {
  if (isAligned(tensor)) return tensor;
  throw new ShapeError(
    `A tensor to write to must start at a multiple of ${ALIGNMENT_BYTES} bytes: ` +
      `current address is ${addressOf(tensor)}`,
  );
}

/** The tensor itself if it is aligned, else an aligned copy. */
export function toAligned(tensor: Tensor): Tensor {
  if (isAligned(tensor)) return tensor;
  const copy = alignedTensor(tensor.dtype, tensor.shape);
  bytesOf(copy).set(bytesOf(tensor));
  return copy;
}
