/**
 * A worker's answer must have the shape that the question implies.
 *
 * @module
 */

import { ShapeError } from "../../shared/errors.ts";
import { formatType, type Shape } from "../../shared/tensor/tensor.ts";

/** @throws {ShapeError} naming both shapes */
export function expectShape(name: string, answer: { readonly shape: Shape }, shape: Shape): void {
  if (answer.shape.join() === shape.join()) return;
  throw new ShapeError(
    `${name} must be ${formatType("float32", shape)}: current shape is [${
      answer.shape.join(", ")
    }]`,
  );
}
