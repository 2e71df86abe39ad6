/** Elementwise operations, with ONNX's names; shapes broadcast as in numpy. @module */

import type { DType } from "../../tensor/dtype.ts";
import { broadcastShapes } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import type { OpName } from "../op_name.ts";
import { checkOneDtype } from "./one_dtype.ts";

function binary(g: GraphBuilder, op: OpName, a: Value, b: Value): Value {
  checkOneDtype(op, a, b);
  return g.node(op, [a, b], [{ dtype: a.dtype, shape: broadcastShapes(op, a.shape, b.shape) }])[0]!;
}

function unary(g: GraphBuilder, op: OpName, x: Value): Value {
  return g.node(op, [x], [{ dtype: x.dtype, shape: x.shape }])[0]!;
}

export const Add = (g: GraphBuilder, a: Value, b: Value): Value => binary(g, "Add", a, b);
export const Sub = (g: GraphBuilder, a: Value, b: Value): Value => binary(g, "Sub", a, b);
export const Mul = (g: GraphBuilder, a: Value, b: Value): Value => binary(g, "Mul", a, b);
export const Div = (g: GraphBuilder, a: Value, b: Value): Value => binary(g, "Div", a, b);

export const Erf = (g: GraphBuilder, x: Value): Value => unary(g, "Erf", x);
export const Exp = (g: GraphBuilder, x: Value): Value => unary(g, "Exp", x);
export const Sqrt = (g: GraphBuilder, x: Value): Value => unary(g, "Sqrt", x);
export const Relu = (g: GraphBuilder, x: Value): Value => unary(g, "Relu", x);
export const Sigmoid = (g: GraphBuilder, x: Value): Value => unary(g, "Sigmoid", x);

/** Exact (erf) GELU; ONNX's `approximate = "none"`. */
export const Gelu = (g: GraphBuilder, x: Value): Value => unary(g, "Gelu", x);

export function Cast(g: GraphBuilder, x: Value, to: DType, onnxType: number): Value {
  if (x.dtype === to) return x;
  return g.node("Cast", [x], [{ dtype: to, shape: x.shape }], {
    attributes: { to: { int: onnxType } },
  })[0]!;
}
