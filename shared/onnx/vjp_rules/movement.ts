/** Derivatives of operations that move elements: each cotangent moves the other way, and meets itself where elements were repeated. @module */

import type { GraphBuilder, Value } from "../graph.ts";
import { IdentityImage, ScatterAddRows } from "../ops/fill.ts";
import { MatMul } from "../ops/linalg.ts";
import { Concat, Pad, ResizeNearest, ShapeOf, Slice, Transpose } from "../ops/movement.ts";
import { transposed } from "./linalg.ts";
import {
  intAttribute,
  intsAttribute,
  type PrimalNode,
  reshapeTo,
  unsupported,
  type VjpRule,
} from "./rule.ts";

export const reshape: VjpRule = (g, { inputs: [x] }, [dy]) => [() => reshapeTo(g, dy, x!)];

export const transpose: VjpRule = (g, node, [dy]) => {
  const perm = intsAttribute(node, "perm");
  return [() => Transpose(g, dy, perm.map((_, axis) => perm.indexOf(axis)))];
};

/** Each input gets its part of the cotangent. */
export const concat: VjpRule = (g, node, [dy]) => {
  const axis = intAttribute(node, "axis", 0);
  let end = 0;
  return node.inputs.map((x) => {
    const size = x!.shape[axis];
    if (typeof size !== "number") throw unsupported("Concat", "an axis whose size is not known");
    const start = end;
    end += size;
    return () => Slice(g, dy, axis, start, start + size);
  });
};

export const split: VjpRule = (g, node, cotangents) => {
  const axis = intAttribute(node, "axis", 0);
  const rank = node.inputs[0]!.shape.length;
  return [() => Concat(g, cotangents, axis < 0 ? rank + axis : axis)];
};

/** Zeros where nothing was taken. One axis, in steps of one: as `Slice()` writes it. */
export const slice: VjpRule = (g, node, [dy]) => {
  const [x, ...bounds] = node.inputs;
  const [start, end, axis] = bounds.map((bound) => wholeNumber(node, bound!));
  const size = axis === undefined ? undefined : x!.shape[axis];
  if (bounds.length !== 3 || start === undefined || end === undefined || typeof size !== "number") {
    throw unsupported("Slice", "several axes, steps, or bounds that only a run knows");
  }
  const at = (count: number) => x!.shape.map((_, i) => i === axis ? count : 0);
  return [() => reshapeTo(g, Pad(g, dy, at(start), at(size - end)), x!)];
};

function wholeNumber(node: PrimalNode, value: Value): number | undefined {
  const constant = node.constant(value);
  return constant?.data.length === 1 ? Number(constant.data[0]) : undefined;
}

/** Rows of a table: each row of the table gets the sum over the places where it was used. */
export const gather: VjpRule = (g, node, [dy]) => {
  const [table, indices] = node.inputs;
  if (intAttribute(node, "axis", 0) !== 0) {
    throw unsupported("Gather", "another axis than the first");
  }
  return [() => ScatterAddRows(g, table!, indices!, dy), undefined];
};

/**
 * Nearest-neighbour resize is Y = R X S^T per image, with a single 1 in each row of R and S: dX = R^T dY S. The matrices are
 * what the same resize makes of identity matrices, so both passes agree on which pixel was repeated where, whatever the target size.
 */
export const resizeNearest: VjpRule = (g, { inputs: [x, , , sizes] }, [dy]) => [() => {
  const matrix = (axis: 2 | 3): Value => {
    const [size, target] = [x!.shape[axis]!, dy.shape[axis]!];
    const length = Slice(g, ShapeOf(g, x!), 0, axis, axis + 1);
    const targetLength = Slice(g, sizes!, 0, axis, axis + 1);
    const targetSize = Concat(g, [targetLength, length], 0);
    const image = ResizeNearest(g, IdentityImage(g, length, size), targetSize, [target, size]);
    return dropLeadingOnes(g, image);
  };
  return MatMul(g, transposed(g, matrix(2)), MatMul(g, dy, matrix(3)));
}];

/** `[1, 1, M, N]` -> `[M, N]`: a product with a matrix takes the batch as more rows. */
function dropLeadingOnes(g: GraphBuilder, image: Value): Value {
  const shape = image.shape.slice(2);
  const target = Slice(g, ShapeOf(g, image), 0, 2, 4);
  return g.node("Reshape", [image, target], [{ dtype: image.dtype, shape }])[0]!;
}
