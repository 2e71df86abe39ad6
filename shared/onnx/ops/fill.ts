/** Tensors made from sizes, and the one operation that adds into places. @module */

import { ShapeError } from "../../errors.ts";
import { type DType, DTYPES } from "../../tensor/dtype.ts";
import { i64 } from "../../tensor/tensor.ts";
import type { GraphShape } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { Cast } from "./elementwise.ts";
import { Concat, Reshape, ShapeOf } from "./movement.ts";

/** Zeros of a shape that the run gives as an int64 vector. */
function zeros(g: GraphBuilder, dtype: DType, sizes: Value, shape: GraphShape): Value {
  // Without a value attribute ONNX fills with f32 zeros.
  const filled = g.node("ConstantOfShape", [sizes], [{ dtype: "float32", shape }])[0]!;
  return Cast(g, filled, dtype, DTYPES[dtype].onnx);
}

/** Zeros in the shape that `like` has in the run. */
export function ZerosLike(g: GraphBuilder, like: Value): Value {
  return zeros(g, like.dtype, ShapeOf(g, like), like.shape);
}

/**
 * The identity matrix as an image `[1, 1, n, n]`.
 *
 * @param size n as an int64 vector `[1]`
 * @param dim n as a dimension
 */
export function IdentityImage(g: GraphBuilder, size: Value, dim: GraphShape[number]): Value {
  const matrix = zeros(g, "float32", Concat(g, [size, size], 0), [dim, dim]);
  const eye = g.node("EyeLike", [matrix], [{ dtype: "float32", shape: [dim, dim] }])[0]!;
  const ones = g.constant(i64([2], [1, 1]), "ones");
  const output = [{ dtype: eye.dtype, shape: [1, 1, dim, dim] }];
  return g.node("Reshape", [eye, Concat(g, [ones, size, size], 0)], output)[0]!;
}

/**
 * Zeros like `table` `[V, D]`, with each row of `rows` added to the row that its index names: the transpose of `Gather`.
 *
 * @param indices int64 `[...]`, M in all
 * @param rows `[..., D]`
 * @throws {ShapeError} if the table is no matrix, or rows and indices do not fit it
 */
export function ScatterAddRows(
  g: GraphBuilder,
  table: Value,
  indices: Value,
  rows: Value,
): Value {
  const [, width] = table.shape;
  const wanted = [...indices.shape, width];
  if (
    table.shape.length !== 2 || typeof width !== "number" || rows.shape.join() !== wanted.join()
  ) {
    throw new ShapeError(
      `Cannot add rows [${rows.shape}] to those of [${table.shape}] that [${indices.shape}] name`,
    );
  }
  const flat = Reshape(g, rows, [-1, width]);
  // An index per element. One per row is ScatterND, whose sums are not in a fixed order.
  const column = Reshape(g, indices, [-1, 1]);
  const each = Concat(g, new Array<Value>(width).fill(column), 1);
  const output = [{ dtype: table.dtype, shape: table.shape }];
  return g.node("ScatterElements", [ZerosLike(g, table), each, flat], output, {
    attributes: { axis: { int: 0 }, reduction: { string: "add" } },
  })[0]!;
}
