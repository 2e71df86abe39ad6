/**
 * A worker's answer must have the shape that the question implies.
 *
 * @module
 */

import { ShapeError } from "../../shared/errors.ts";
import { formatType, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";

/** @throws {ShapeError} naming both shapes */
export function expectShape(name: string, tensor: Tensor, shape: Shape): void {
  if (tensor.shape.join() === shape.join()) return;
  throw new ShapeError(
    `${name} must be ${formatType(tensor.dtype, shape)}: current shape is ` +
      `[${tensor.shape.join(", ")}]`,
  );
}
