/**
 * The operators that our graphs are made of. A table over all of them (`vjp_rules/rule_table.ts`) does not compile while
 * one is missing.
 *
 * @module
 */

/** Of ONNX's own domain, unless a comment says otherwise. */
export type OpName =
  | "Add"
  | "AveragePool"
  | "Cast"
  | "Concat"
  | "ConstantOfShape"
  | "Conv"
  | "ConvTranspose"
  | "Div"
  | "Erf"
  | "Exp"
  | "EyeLike"
  | "Gather"
  | "Gelu"
  | "Gemm"
  | "Identity"
  | "InstanceNormalization"
  | "LayerNormalization"
  | "MatMul"
  | "MaxPool"
  | "Mul"
  | "MultiHeadAttention" // com.microsoft
  | "Pad"
  | "ReduceMean"
  | "ReduceSum"
  | "Relu"
  | "Reshape"
  | "Resize"
  | "ScatterElements"
  | "Shape"
  | "Sigmoid"
  | "Slice"
  | "Softmax"
  | "Split"
  | "Sqrt"
  | "Sub"
  | "Transpose";
