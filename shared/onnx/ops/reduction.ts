/** Sums and means over whole axes. @module */

import { ShapeError } from "../../errors.ts";
import { i64 } from "../../tensor/tensor.ts";
import type { GraphBuilder, Value } from "../graph.ts";

export interface ReduceOptions {
  /** Whether a reduced axis stays, with size 1. @default true */
  readonly keepdims?: boolean;
}

function reduce(
  g: GraphBuilder,
  op: "ReduceSum" | "ReduceMean",
  x: Value,
  axes: readonly number[],
  { keepdims = true }: ReduceOptions,
): Value {
  const isAxis = (axis: number) => Number.isSafeInteger(axis) && axis in x.shape;
  if (axes.length === 0 || !axes.every(isAxis) || new Set(axes).size < axes.length) {
    throw new ShapeError(`${op} of [${x.shape}] needs axes of it, each once: [${axes}]`);
  }
  const shape = x.shape.flatMap((dim, axis) => axes.includes(axis) ? keepdims ? [1] : [] : [dim]);
  const output = [{ dtype: x.dtype, shape }];
  return g.node(op, [x, g.constant(i64([axes.length], axes), "axes")], output, {
    attributes: { keepdims: { int: keepdims ? 1 : 0 } },
  })[0]!;
}

/** @throws {ShapeError} if `axes` are not axes of x, counted from the first and each once; there must be one */
export function ReduceSum(
  g: GraphBuilder,
  x: Value,
  axes: readonly number[],
  options: ReduceOptions = {},
): Value {
  return reduce(g, "ReduceSum", x, axes, options);
}

/** @throws {ShapeError} as `ReduceSum()` */
export function ReduceMean(
  g: GraphBuilder,
  x: Value,
  axes: readonly number[],
  options: ReduceOptions = {},
): Value {
  return reduce(g, "ReduceMean", x, axes, options);
}
