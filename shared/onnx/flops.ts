/**
 * How many floating-point operations the convolutions and matrix products of a graph take in one run: a multiplication
 * and an addition count two. Everything else (norms, activations, copies) counts nothing: its time is memory's.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { elementCount } from "../tensor/tensor.ts";
import { evaluateShape, type Sizes } from "./evaluate_dim.ts";
import type { Graph, Node } from "./graph.ts";

/** What the work is made of. Attention is the two products of queries, keys and values. */
export const FLOP_KINDS = ["convolution", "matrix product", "attention"] as const;

export type FlopKind = typeof FLOP_KINDS[number];

export type FlopCounts = Readonly<Record<FlopKind, number>>;

interface Rule {
  readonly kind: FlopKind;
  /** Of the inputs' and the output's shapes in one run. */
  readonly flops: (inputs: readonly (readonly number[])[], output: readonly number[]) => number;
}

/** `[.., M, K]` with `[.., K, N]`, or with its transpose. */
const product = (inputs: readonly (readonly number[])[], output: readonly number[]) =>
  2 * elementCount(output) * inputs[0]!.at(-1)!;

/** Operators of ONNX and `com.microsoft` that this project's graphs have. */
const RULES: Readonly<Record<string, Rule>> = {
  /** Weight `[M, C / groups, k, k]`: each output pixel is a product with one filter. */
  Conv: {
    kind: "convolution",
    flops: ([, weight], output) => 2 * elementCount(output) * elementCount(weight!.slice(1)),
  },
  /** Weight `[M, C, k, k]`: each input pixel gives to one place of every filter. */
  ConvTranspose: {
    kind: "convolution",
    flops: ([x, weight]) => 2 * elementCount(x!) * elementCount(weight!.slice(1)),
  },
  MatMul: { kind: "matrix product", flops: product },
  Gemm: { kind: "matrix product", flops: product },
  /** Queries `[B, S, D]` with keys `[B, L, D]`, then the weights `[B, heads, S, L]` with values. */
  MultiHeadAttention: {
    kind: "attention",
    flops: ([, key], output) => 4 * elementCount(output) * key![1]!,
  },
};

/**
 * @param op an operator's name, also one that ONNX Runtime made of ours by fusing
 * @returns which kind of work it is; `undefined` for an operator that counts nothing
 */
export function flopKind(op: string): FlopKind | undefined {
  if (/attention/i.test(op)) return "attention";
  if (/conv/i.test(op)) return "convolution";
  return /matmul|gemm/i.test(op) ? "matrix product" : undefined;
}

/**
 * Nodes that depend on no input count nothing: ONNX Runtime computes them once, at load.
 *
 * @param sizes of every symbol in the shapes of the graph's inputs, and `TH`, `TW` for a target size
 * @throws {ShapeError} if a size is missing, or an operator is a product that has no rule here
 */
export function graphFlops(graph: Graph, sizes: Sizes): FlopCounts {
  const counts: Record<FlopKind, number> = { convolution: 0, "matrix product": 0, attention: 0 };
  const shapeOf = (name: string) => evaluateShape(graph.values.get(name)!.shape, sizes);
  for (const node of varyingNodes(graph)) {
    const rule = RULES[node.op];
    if (!rule) {
      if (flopKind(node.op) === undefined) continue;
      throw new ShapeError(
        `Operator ${node.op} of graph "${graph.name}" must have a rule for its operations`,
      );
    }
    const inputs = node.inputs.filter((name) => name !== "").map(shapeOf);
    counts[rule.kind] += rule.flops(inputs, shapeOf(node.outputs[0]!));
  }
  return counts;
}

/** Sums of all kinds. */
export function addFlops(a: FlopCounts, b: FlopCounts): FlopCounts {
  const sum = (kind: FlopKind) => a[kind] + b[kind];
  return {
    convolution: sum("convolution"),
    "matrix product": sum("matrix product"),
    attention: sum("attention"),
  };
}

function varyingNodes(graph: Graph): Node[] {
  const varying = new Set(graph.inputs.map(({ name }) => name));
  return graph.nodes.filter((node) => {
    if (!node.inputs.some((name) => varying.has(name))) return false;
    node.outputs.forEach((name) => varying.add(name));
    return true;
  });
}
