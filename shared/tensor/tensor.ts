/**
 * Dense row-major tensors in host memory. Data only: arithmetic lives in ONNX graphs (`shared/models`)
 * and in `lincomb.ts`.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { type DataOf, type DType, DTYPES } from "./dtype.ts";
import { float8ToFloat16 } from "./float8.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";

export type Shape = readonly number[];

export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly data: DataOf<D>;
}

/** The tensor kind that activations have. */
export type F32Tensor = Tensor<"float32">;

/** Number of elements of a shape; the empty shape is a scalar and has one. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** Bytes that a tensor of this dtype and shape takes. */
export function byteLength(dtype: DType, shape: Shape): number {
  return elementCount(shape) * DTYPES[dtype].bytes;
}

/** `float32 [2, 4, 8, 8]`: how error messages spell a dtype and shape. */
export function formatType(dtype: DType, shape: readonly (number | string)[]): string {
  return `${dtype} [${shape.join(", ")}]`;
}

/**
 * Makes a tensor over `data` (not copied).
 *
 * @throws {ShapeError} if a dimension is not a whole number >= 0 or the data has another length
 */
export function makeTensor<D extends DType>(dtype: D, shape: Shape, data: DataOf<D>): Tensor<D> {
  if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) {
    throw new ShapeError(
      `Tensor dimensions must be whole numbers >= 0: current shape is [${shape}]`,
    );
  }
  if (data.length !== elementCount(shape)) {
    throw new ShapeError(
      `Tensor ${formatType(dtype, shape)} must have ${elementCount(shape)} elements: ` +
        `current data has ${data.length}`,
    );
  }
  return { dtype, shape, data };
}

/** An f32 tensor; without `data`, of zeros. */
export function f32(shape: Shape, data?: Float32Array<ArrayBuffer> | readonly number[]): F32Tensor {
  if (data === undefined) {
    return makeTensor("float32", shape, new Float32Array(elementCount(shape)));
  }
  return makeTensor(
    "float32",
    shape,
    data instanceof Float32Array ? data : Float32Array.from(data),
  );
}

/** An int64 tensor from plain numbers. */
export function i64(shape: Shape, values: readonly number[]): Tensor<"int64"> {
  return makeTensor("int64", shape, BigInt64Array.from(values, (value) => BigInt(value)));
}

/** The same values in memory of their own. */
export function copyTensor<D extends DType>(tensor: Tensor<D>): Tensor<D> {
  return { ...tensor, data: tensor.data.slice() as DataOf<D> };
}

/** The tensor's bytes, little-endian, without a copy. */
export function bytesOf(tensor: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * A tensor over little-endian bytes. Not copied, unless `bytes` starts at an offset that the element
 * size does not divide (typed arrays must be aligned).
 *
 * @throws {ShapeError} if the byte count is not that of dtype and shape
 */
export function tensorFromBytes<D extends DType>(
  dtype: D,
  shape: Shape,
  bytes: Uint8Array,
): Tensor<D> {
  const expected = byteLength(dtype, shape);
  if (bytes.byteLength !== expected) {
    throw new ShapeError(
      `Tensor ${
        formatType(dtype, shape)
      } must have ${expected} bytes: current count is ${bytes.byteLength}`,
    );
  }
  const { array, bytes: size } = DTYPES[dtype];
  // Not `slice()`: that of Node's Buffer, which gRPC hands out, does not copy.
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const data = new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, elementCount(shape));
  return makeTensor(dtype, shape, data as DataOf<D>);
}

/** Any numeric tensor as f32: shorter floats are widened exactly, f32 is passed through. */
export function toFloat32(tensor: Tensor): F32Tensor {
  switch (tensor.dtype) {
    case "float32":
      return tensor as F32Tensor;
    case "float16":
      return f32(tensor.shape, float16ToFloat32(tensor.data as Uint16Array));
    case "float8_e4m3fn":
    case "float8_e5m2":
      return f32(
        tensor.shape,
        float16ToFloat32(float8ToFloat16(tensor.dtype, tensor.data as Uint8Array)),
      );
    case "bfloat16":
      return f32(tensor.shape, bfloat16ToFloat32(tensor.data as Uint16Array));
    default:
      return f32(tensor.shape, Float32Array.from(tensor.data as ArrayLike<number>, Number));
  }
}

/** Rows `start` to `end` of the first axis, as a view. */
export function sliceRows<D extends DType>(
  tensor: Tensor<D>,
  start: number,
  end: number,
): Tensor<D> {
  const [rows = 0, ...rest] = tensor.shape;
  if (!(0 <= start && start <= end && end <= rows)) {
    throw new ShapeError(`Rows must lie in 0..${rows}: current range is ${start}..${end}`);
  }
  const size = elementCount(rest);
  const data = tensor.data.subarray(start * size, end * size) as DataOf<D>;
  return makeTensor(tensor.dtype, [end - start, ...rest], data);
}

/** Concatenates along the first axis. All shapes must agree in the other axes. */
export function concatRows(tensors: readonly F32Tensor[]): F32Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("Cannot concatenate an empty list of tensors");
  const rest = first.shape.slice(1);
  const odd = tensors.find((t) => t.shape.slice(1).join() !== rest.join());
  if (odd) {
    throw new ShapeError(`Cannot concatenate rows of [${odd.shape}] to rows of [${first.shape}]`);
  }
  const rows = tensors.reduce((sum, t) => sum + (t.shape[0] ?? 0), 0);
  const result = f32([rows, ...rest]);
  let offset = 0;
  for (const { data } of tensors) {
    result.data.set(data, offset);
    offset += data.length;
  }
  return result;
}

/** One row `[1, ...]` as `[count, ...]`. */
export function repeatRows(row: F32Tensor, count: number): F32Tensor {
  return concatRows(new Array<F32Tensor>(count).fill(row));
}

/** Concatenates along the last axis. All shapes must agree in the other axes. */
export function concatColumns(tensors: readonly F32Tensor[]): F32Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("Cannot concatenate an empty list of tensors");
  const lead = first.shape.slice(0, -1);
  const odd = tensors.find((t) => t.shape.slice(0, -1).join() !== lead.join());
  if (odd) {
    throw new ShapeError(`Cannot put [${odd.shape}] beside [${first.shape}]: their rows differ`);
  }
  const widths = tensors.map((t) => t.shape.at(-1)!);
  const width = widths.reduce((sum, w) => sum + w, 0);
  const result = f32([...lead, width]);
  for (let row = 0; row < elementCount(lead); row++) {
    let offset = row * width;
    tensors.forEach(({ data }, i) => {
      result.data.set(data.subarray(row * widths[i]!, (row + 1) * widths[i]!), offset);
      offset += widths[i]!;
    });
  }
  return result;
}
