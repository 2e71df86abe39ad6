/**
 * Tensors whose elements do not lie one after another in memory, as torch stores a transposed matrix or a part of a
 * larger tensor: a stride per axis tells how many elements further the next index is.
 *
 * @module
 */

import type { Shape } from "./tensor.ts";

/** Where the elements of a tensor lie, counted in elements. */
export interface StridedLayout {
  readonly shape: Shape;
  /** One per axis, 0 or more. */
  readonly strides: readonly number[];
}

/** Whether the elements are in row-major order without gaps; axes of one element do not count. */
export function isContiguous({ shape, strides }: StridedLayout): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 1) continue;
    if (strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}

/** Elements from the first to the last one, both included; 0 for an empty tensor. */
export function spannedElements({ shape, strides }: StridedLayout): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((last, dim, axis) => last + (dim - 1) * strides[axis]!, 1);
}

/**
 * The elements in row-major order.
 *
 * @param span bytes from the first element to the end of the last one
 * @param elementBytes size of one element
 */
export function gatherStrided(
  span: Uint8Array,
  { shape, strides }: StridedLayout,
  elementBytes: number,
): Uint8Array<ArrayBuffer> {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const result = new Uint8Array(count * elementBytes);
  const index = shape.map(() => 0);
  let source = 0;
  for (let target = 0; target < result.length; target += elementBytes) {
    const from = source * elementBytes;
    for (let byte = 0; byte < elementBytes; byte++) result[target + byte] = span[from + byte]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      source -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
