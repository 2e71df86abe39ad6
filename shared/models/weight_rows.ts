/** Rows of a weight, and what a graph has to read for them. @module */

import type { ExternalBytes } from "../onnx/graph.ts";
import { DTYPES } from "../tensor/dtype.ts";
import type { WeightLocation } from "./weights.ts";

/** Rows `first..end` of a weight, as a weight of its own. */
export function rowsOf(
  location: WeightLocation,
  [first, end]: readonly [number, number],
): WeightLocation {
  const { dtype, shape: [rows = 1, ...others], offset, length, strides, scale } = location;
  const rowBytes = length / rows;
  const rowDistance = strides ? strides[0]! * DTYPES[dtype].bytes : rowBytes;
  return {
    ...location,
    ...(scale && scale.shape[0]! > 1 && { scale: rowsOf(scale, [first, end]) }),
    shape: [end - first, ...others],
    offset: offset + first * rowDistance,
    length: (end - first) * rowBytes,
  };
}

/** What the runtime reads from the file itself; elements that do not lie in order are gathered into the model. */
export function weightBytes(
  { path, offset, length, shape, strides }: WeightLocation,
): ExternalBytes {
  const bytes = { path, offset, length };
  return strides ? { ...bytes, embed: true, layout: { shape, strides } } : bytes;
}
