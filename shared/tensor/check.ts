/** Checks of tensors at the doors: inputs before they are used, outputs before they are believed. @module */

import { ShapeError, TuttiError } from "../errors.ts";
import { type F32Tensor, formatType, type Shape, type Tensor } from "./tensor.ts";

/**
 * @param name what the message calls the tensor
 * @throws {ShapeError} if dtype or shape differ from what is wanted
 */
export function checkTensor(
  name: string,
  tensor: Tensor,
  dtype: Tensor["dtype"],
  shape: Shape,
): void {
  if (tensor.dtype === dtype && tensor.shape.join() === shape.join()) return;
  throw new ShapeError(
    `${name} must be ${formatType(dtype, shape)}: current value is ${
      formatType(tensor.dtype, tensor.shape)
    }`,
    { details: { tensor: name } },
  );
}

/**
 * Index of the first element that is NaN or infinite, or -1.
 */
export function firstNonFinite({ data }: F32Tensor): number {
  const exponent = 0x7f800000;
  const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
  for (let i = 0; i < words.length; i++) {
    if ((words[i]! & exponent) === exponent) return i;
  }
  return -1;
}

/** @throws {TuttiError} DATA_LOSS naming what made it, if the tensor holds NaN or infinity */
export function checkFinite(
  name: string,
  tensor: F32Tensor,
  details: Record<string, string> = {},
): void {
  const index = firstNonFinite(tensor);
  if (index < 0) return;
  throw new TuttiError(
    "DATA_LOSS",
    `${name} must be finite: value ${index} of ${formatType(tensor.dtype, tensor.shape)} is ${
      tensor.data[index]
    }`,
    { details },
  );
}
