/**
 * Activations to and from the bytes that travel, in the wire dtype of their block.
 *
 * Plain loops, not graphs: ONNX Runtime casts f32 to f16 in half the time, but a graph waits for its lane, and what it
 * takes there the models lack. int8 and the ways back gain nothing that would pay for the way to a lane.
 *
 * Bytes are little-endian, as are all machines that Deno runs on. Streaming equals whole: for `a` of whole blocks,
 * `encode(a ++ b)` is `encode(a) ++ encode(b)`, so a transport may convert a tensor piece by piece.
 *
 * What a dtype cannot carry is an error of `encode`, never another number: an infinity or the largest half in place
 * of 70,000 would ruin the image or bend it without a word. The error names dtype and value; the block can travel in another.
 *
 * @module
 */

import { ShapeError } from "../../errors.ts";
import { decodeBfloat16, encodeBfloat16 } from "./bfloat16.ts";
import { decodeFloat16, encodeFloat16 } from "./float16.ts";
import { decodeInt8, encodeInt8 } from "./int8_blocks.ts";
import { BLOCK_ELEMENTS, encodedBytes, type WireDtype } from "./wire_dtype.ts";

/** Both take bytes at a multiple of 4, as many as the elements need. */
interface Kernel {
  readonly encode: (source: Float32Array, target: Uint8Array) => void;
  readonly decode: (source: Uint8Array, target: Float32Array) => void;
}

const KERNELS: Readonly<Record<WireDtype, Kernel>> = {
  f32: {
    encode: (source, target) => target.set(bytesOf(source)),
    decode: (source, target) => bytesOf(target).set(source),
  },
  f16: { encode: encodeFloat16, decode: decodeFloat16 },
  bf16: { encode: encodeBfloat16, decode: decodeBfloat16 },
  int8: { encode: encodeInt8, decode: decodeInt8 },
};

/** What typed arrays of the widest access need. */
const ALIGNMENT_BYTES = 4;

/** Through which bytes at other offsets go: whole blocks, few enough to stay in the first cache. */
const STAGED_ELEMENTS = 16 * BLOCK_ELEMENTS;
const stage = new Uint8Array(encodedBytes("f32", STAGED_ELEMENTS));

/**
 * Writes the values into the bytes, which may start anywhere but must not overlap them.
 *
 * Rounds to nearest: f16 and bf16 ties to even, int8 ties up. f32 keeps every bit; f16 and bf16 keep -0, int8 does not.
 *
 * @param target of `encodedBytes(dtype, source.length)` bytes; after an error, what it holds is undefined
 * @throws {ShapeError} if the target has another size
 * @throws {TuttiError} DATA_LOSS if a value is NaN or infinite, OUT_OF_RANGE if it is beyond the dtype; never for f32
 */
export function encode(dtype: WireDtype, source: Float32Array, target: Uint8Array): void {
  checkSize(dtype, source.length, target.byteLength);
  const kernel = KERNELS[dtype];
  if (isReachable(dtype, target)) return kernel.encode(source, target);
  for (let start = 0; start < source.length; start += STAGED_ELEMENTS) {
    const piece = source.subarray(start, start + STAGED_ELEMENTS);
    const bytes = stage.subarray(0, encodedBytes(dtype, piece.length));
    kernel.encode(piece, bytes);
    target.set(bytes, encodedBytes(dtype, start));
  }
}

/**
 * Reads the values from the bytes, which may start anywhere but must not overlap them. Takes all bytes for good: what
 * another peer put there may be NaN or infinite.
 *
 * @param source of `encodedBytes(dtype, target.length)` bytes
 * @throws {ShapeError} if the source has another size
 */
export function decode(dtype: WireDtype, source: Uint8Array, target: Float32Array): void {
  checkSize(dtype, target.length, source.byteLength);
  const kernel = KERNELS[dtype];
  if (isReachable(dtype, source)) return kernel.decode(source, target);
  for (let start = 0; start < target.length; start += STAGED_ELEMENTS) {
    const piece = target.subarray(start, start + STAGED_ELEMENTS);
    const bytes = stage.subarray(0, encodedBytes(dtype, piece.length));
    const first = encodedBytes(dtype, start);
    bytes.set(source.subarray(first, first + bytes.length));
    kernel.decode(bytes, piece);
  }
}

/** Whether the kernel can work on the bytes where they are; a copy, as of f32, can anywhere. */
function isReachable(dtype: WireDtype, { byteOffset }: Uint8Array): boolean {
  return dtype === "f32" || byteOffset % ALIGNMENT_BYTES === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function checkSize(dtype: WireDtype, elements: number, bytes: number): void {
  const expected = encodedBytes(dtype, elements);
  if (bytes === expected) return;
  throw new ShapeError(
    `${elements} values in ${dtype} must have ${expected} bytes: current count is ${bytes}`,
  );
}
