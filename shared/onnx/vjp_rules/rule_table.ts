/** Operator -> its rule of reverse mode. Total: an operator that is missing here does not compile. @module */

import type { OpName } from "../op_name.ts";
import { conv } from "./convolution.ts";
import { add, cast, div, exp, gelu, identity, mul, sigmoid, sqrt, sub } from "./elementwise.ts";
import { gemm, matMul } from "./linalg.ts";
import { concat, gather, reshape, resizeNearest, slice, split, transpose } from "./movement.ts";
import { instanceNormalization, layerNormalization, softmax } from "./normalization.ts";
import { reduceMean, reduceSum } from "./reduction.ts";
import type { VjpEntry } from "./rule.ts";

/** No model of ours holds it, only the derivative of one. */
const IN_DERIVATIVES_ONLY = { none: "second derivatives are not built" };

/** Only networks that judge pictures hold it, which are not trained here. */
const IN_JUDGES_ONLY = { none: "no model that is trained holds it" };

export const VJP_RULES: Readonly<Record<OpName, VjpEntry>> = {
  Add: add,
  AveragePool: IN_JUDGES_ONLY,
  Cast: cast,
  Concat: concat,
  ConstantOfShape: IN_DERIVATIVES_ONLY,
  Conv: conv,
  ConvTranspose: IN_DERIVATIVES_ONLY,
  Div: div,
  Erf: IN_DERIVATIVES_ONLY,
  Exp: exp,
  EyeLike: IN_DERIVATIVES_ONLY,
  Gather: gather,
  Gelu: gelu,
  Gemm: gemm,
  Identity: identity,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  MatMul: matMul,
  MaxPool: IN_JUDGES_ONLY,
  Mul: mul,
  MultiHeadAttention: {
    none: "fused attention does not say how it computes: build the graph in the primitive lowering",
  },
  Pad: IN_DERIVATIVES_ONLY,
  ReduceMean: reduceMean,
  ReduceSum: reduceSum,
  Relu: IN_JUDGES_ONLY,
  Reshape: reshape,
  Resize: resizeNearest,
  ScatterElements: IN_DERIVATIVES_ONLY,
  Shape: { none: "sizes are whole numbers" },
  Sigmoid: sigmoid,
  Slice: slice,
  Softmax: softmax,
  Split: split,
  Sqrt: sqrt,
  Sub: sub,
  Transpose: transpose,
};
