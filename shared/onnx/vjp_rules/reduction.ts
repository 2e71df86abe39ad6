/** Derivatives of sums and means over axes: every element gets the cotangent of what it went into. @module */

import { Add, Div } from "../ops/elementwise.ts";
import { ZerosLike } from "../ops/fill.ts";
import { ReduceSum } from "../ops/reduction.ts";
import { intAttribute, type PrimalNode, scalar, unsupported, type VjpRule } from "./rule.ts";

export const reduceSum: VjpRule = (g, node, [dy]) => {
  checkForm(node);
  return [() => Add(g, ZerosLike(g, node.inputs[0]!), dy), undefined];
};

export const reduceMean: VjpRule = (g, node, [dy]) => {
  const axes = checkForm(node);
  return [() => {
    const zeros = ZerosLike(g, node.inputs[0]!);
    // How many elements went into a mean only the run knows.
    const count = ReduceSum(g, Add(g, zeros, scalar(g, 1, dy)), axes);
    return Add(g, zeros, Div(g, dy, count));
  }, undefined];
};

/** @returns the axes */
function checkForm(node: PrimalNode): readonly number[] {
  const axes = node.inputs[1] && node.constant(node.inputs[1]);
  if (!axes || intAttribute(node, "keepdims", 1) !== 1) {
    throw unsupported(node.op, "dropped axes, or axes that only a run knows");
  }
  return Array.from(axes.data as BigInt64Array, Number);
}
