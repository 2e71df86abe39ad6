/** Operations that move elements without computing. @module */

import { ShapeError } from "../../errors.ts";
import { i64 } from "../../tensor/tensor.ts";
import { addDims, type Dim, divDims } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { checkOneDtype } from "./one_dtype.ts";

/**
 * Reshapes to `dims`, where 0 copies the input's size of that axis and one -1 takes what is left.
 *
 * @throws {ShapeError} if the sizes do not multiply to the input's
 */
export function Reshape(g: GraphBuilder, x: Value, dims: readonly number[]): Value {
  const free = dims.indexOf(-1);
  const isDim = (dim: number, axis: number) =>
    Number.isSafeInteger(dim) && (dim > 0 || (dim === 0 && axis < x.shape.length) || axis === free);
  if (!dims.every(isDim)) throw new ShapeError(`Cannot reshape [${x.shape}] to [${dims}]`);
  const shape: Dim[] = dims.map((dim, axis) => dim === 0 ? x.shape[axis]! : dim);
  const rest = divDims(x.shape, shape.filter((_, axis) => axis !== free));
  if (free >= 0) shape[free] = rest;
  else if (rest !== 1) throw new ShapeError(`Cannot reshape [${x.shape}] to [${shape}]`);
  const target = g.constant(i64([dims.length], dims), "shape");
  return g.node("Reshape", [x, target], [{ dtype: x.dtype, shape }])[0]!;
}

/** Reshapes to the shape that `like` has in the run: for spatial sizes that only a run knows. */
export function ReshapeLike(g: GraphBuilder, x: Value, like: Value): Value {
  if (divDims(x.shape, like.shape) !== 1) {
    throw new ShapeError(`Cannot reshape [${x.shape}] to [${like.shape}]`);
  }
  const output = [{ dtype: x.dtype, shape: like.shape }];
  return g.node("Reshape", [x, ShapeOf(g, like)], output)[0]!;
}

/** All axes but the last merged: `[..., K]` -> `[M, K]`. A matrix stays as it is. */
export function FlattenRows(g: GraphBuilder, x: Value): Value {
  return x.shape.length === 2 ? x : Reshape(g, x, [-1, x.shape.at(-1) as number]);
}

/** The rows of a matrix `[M, N]` in the axes that `like` has before its last: `[..., N]`. */
export function UnflattenRows(g: GraphBuilder, matrix: Value, like: Value): Value {
  const width = matrix.shape[1] as number;
  const axes = like.shape.slice(0, -1);
  if (like.shape.length === 2) return matrix;
  if (divDims(axes, [matrix.shape[0]!]) !== 1) {
    throw new ShapeError(`Cannot give [${matrix.shape}] the rows of [${like.shape}]`);
  }
  const lead = Slice(g, ShapeOf(g, like), 0, 0, axes.length);
  const target = Concat(g, [lead, g.constant(i64([1], [width]), "width")], 0);
  return g.node("Reshape", [matrix, target], [{
    dtype: matrix.dtype,
    shape: [...axes, width],
  }])[0]!;
}

/** The pixels of an image `[B, M, H W]` in the rows and columns that `like` `[B, C, H, W]` has: `[B, M, H, W]`. */
export function UnflattenPixels(g: GraphBuilder, x: Value, like: Value): Value {
  const pixels = like.shape.slice(2);
  if (x.shape.length !== 3 || divDims([x.shape[2]!], pixels) !== 1) {
    throw new ShapeError(`Cannot give [${x.shape}] the pixels of [${like.shape}]`);
  }
  const unchanged = g.constant(i64([2], [0, 0]), "unchanged");
  const target = Concat(g, [unchanged, Slice(g, ShapeOf(g, like), 0, 2, like.shape.length)], 0);
  const shape = [x.shape[0]!, x.shape[1]!, ...pixels];
  return g.node("Reshape", [x, target], [{ dtype: x.dtype, shape }])[0]!;
}

/** The shape of x as an int64 vector. ONNX's `Shape`; our name avoids the type's. */
export function ShapeOf(g: GraphBuilder, x: Value): Value {
  return g.node("Shape", [x], [{ dtype: "int64", shape: [x.shape.length] }])[0]!;
}

/** @throws {ShapeError} if `perm` does not name every axis once */
export function Transpose(g: GraphBuilder, x: Value, perm: readonly number[]): Value {
  if ([...perm].sort((a, b) => a - b).join() !== [...x.shape.keys()].join()) {
    throw new ShapeError(`Cannot transpose [${x.shape}] by [${perm}]`);
  }
  const shape = perm.map((axis) => x.shape[axis]!);
  return g.node("Transpose", [x], [{ dtype: x.dtype, shape }], {
    attributes: { perm: { ints: perm } },
  })[0]!;
}

/** @throws {ShapeError} if the other axes or the dtypes differ */
export function Concat(g: GraphBuilder, values: readonly Value[], axis: number): Value {
  const [first] = values;
  if (first?.shape[axis] === undefined) {
    throw new ShapeError(`Concat needs at least one value with an axis ${axis}`);
  }
  checkOneDtype("Concat", ...values);
  const others = (value: Value) => value.shape.filter((_, i) => i !== axis).join();
  const odd = values.find((value) => others(value) !== others(first));
  if (odd) {
    throw new ShapeError(`Concat on axis ${axis} of [${first.shape}] and [${odd.shape}]`);
  }
  const shape = [...first.shape];
  shape[axis] = values.map((value) => value.shape[axis]!).reduce(addDims);
  return g.node("Concat", values, [{ dtype: first.dtype, shape }], {
    attributes: { axis: { int: axis } },
  })[0]!;
}

/** Cuts an axis of known size into equal parts. */
export function Split(g: GraphBuilder, x: Value, axis: number, parts: number): Value[] {
  const size = x.shape.at(axis);
  if (typeof size !== "number" || size % parts !== 0) {
    throw new ShapeError(`Cannot split axis ${axis} of [${x.shape}] into ${parts} equal parts`);
  }
  const shape = [...x.shape];
  shape[axis < 0 ? shape.length + axis : axis] = size / parts;
  return g.node("Split", [x], Array.from({ length: parts }, () => ({ dtype: x.dtype, shape })), {
    attributes: { axis: { int: axis }, num_outputs: { int: parts } },
  });
}

/** Elements `start` to `end` of one axis of known size. */
export function Slice(g: GraphBuilder, x: Value, axis: number, start: number, end: number): Value {
  const size = x.shape[axis];
  if (typeof size !== "number" || !(0 <= start && start < end && end <= size)) {
    throw new ShapeError(`Cannot slice axis ${axis} of [${x.shape}] from ${start} to ${end}`);
  }
  const shape = [...x.shape];
  shape[axis] = end - start;
  const bounds = [start, end, axis].map((value) => g.constant(i64([1], [value]), "bound"));
  return g.node("Slice", [x, ...bounds], [{ dtype: x.dtype, shape }])[0]!;
}

/** Rows of `table` `[V, D]` for each of the int64 `indices` `[...]`: `[..., D]`. */
export function Gather(g: GraphBuilder, table: Value, indices: Value): Value {
  const shape = [...indices.shape, ...table.shape.slice(1)];
  return g.node("Gather", [table, indices], [{ dtype: table.dtype, shape }])[0]!;
}

/**
 * Nearest-neighbour resize of `[B, C, H, W]` to a height and width that the run gives: source index
 * floor(i * in / out), as `torch.nn.functional.interpolate(mode="nearest")` has it.
 *
 * @param targetSize int64 `[2]`
 * @throws {ShapeError} if x or the target size are of another rank or dtype
 */
export function ResizeNearest(
  g: GraphBuilder,
  x: Value,
  targetSize: Value,
  targetDims: readonly [Dim, Dim],
): Value {
  if (x.shape.length !== 4 || targetSize.shape.join() !== "2" || targetSize.dtype !== "int64") {
    throw new ShapeError(
      `Resize needs an image and a height and width: [${x.shape}] to ${targetSize.dtype} [${targetSize.shape}]`,
    );
  }
  const batchAndChannels = Slice(g, ShapeOf(g, x), 0, 0, 2);
  const sizes = Concat(g, [batchAndChannels, targetSize], 0);
  const shape = [x.shape[0]!, x.shape[1]!, ...targetDims];
  return g.node("Resize", [x, undefined, undefined, sizes], [{ dtype: x.dtype, shape }], {
    attributes: {
      mode: { string: "nearest" },
      coordinate_transformation_mode: { string: "asymmetric" },
      nearest_mode: { string: "floor" },
    },
  })[0]!;
}

/**
 * Zeros around x.
 *
 * @param before elements put before each axis
 * @param after elements put after each axis
 * @throws {ShapeError} if there is not one whole number >= 0 per axis
 */
export function Pad(
  g: GraphBuilder,
  x: Value,
  before: readonly number[],
  after: readonly number[],
): Value {
  const pads = [...before, ...after];
  const isCount = (count: number) => Number.isSafeInteger(count) && count >= 0;
  if (![before, after].every(({ length }) => length === x.shape.length) || !pads.every(isCount)) {
    throw new ShapeError(`Cannot pad [${x.shape}] by [${before}] before and [${after}] after`);
  }
  const shape = x.shape.map((dim, axis) => {
    const added = before[axis]! + after[axis]!;
    return added === 0 ? dim : addDims(dim, added);
  });
  const counts = g.constant(i64([pads.length], pads), "pads");
  return g.node("Pad", [x, counts], [{ dtype: x.dtype, shape }])[0]!;
}

/** Reverses the order along `axes`. */
export function Flip(g: GraphBuilder, x: Value, axes: readonly number[]): Value {
  if (!axes.every((axis) => axis in x.shape)) {
    throw new ShapeError(`Cannot flip axes [${axes}] of [${x.shape}]`);
  }
  // From the last element down to one before the first, which only "far below zero" can name.
  const bounds = [-1, -(2 ** 31), undefined, -1].map((value) =>
    g.constant(i64([axes.length], value === undefined ? axes : axes.map(() => value)), "bound")
  );
  return g.node("Slice", [x, ...bounds], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}
