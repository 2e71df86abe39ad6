/** A stored weight as a matrix in a graph. @module */

import type { ExternalBytes, GraphBuilder, Value } from "../onnx/graph.ts";
import { Cast, Mul } from "../onnx/ops/elementwise.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/tensor.ts";
import { weightBytes } from "./weight_rows.ts";
import type { WeightLocation } from "./weights.ts";

/** A weight `[M, ...]` times its scale, if it has one, as f32 `[M, K]`. */
export function weightMatrix(
  g: GraphBuilder,
  name: string,
  location: WeightLocation,
  options: Pick<ExternalBytes, "embed"> = {},
): Value {
  const { dtype, shape: [rows = 1, ...others], scale } = location;
  const shape = [rows, elementCount(others)];
  const value = g.weight(name, dtype, shape, { ...weightBytes(location), ...options });
  const cast = Cast(g, value, "float32", DTYPES.float32.onnx);
  return scale ? Mul(g, cast, weightMatrix(g, `${name}:scale`, scale, options)) : cast;
}
