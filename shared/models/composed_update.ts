/**
 * Changes of a weight that are more than one product of two matrices, as nodes over initializers which ONNX Runtime
 * computes once, when it loads the graph: LoHa and LoKr (https://arxiv.org/abs/2309.14859, sections 3.2 and 3.3) and
 * DoRA (https://arxiv.org/abs/2402.09353, equation 5).
 *
 * @module
 */

import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { Add, Div, Mul, Sqrt, Sub } from "../onnx/ops/elementwise.ts";
import { MatMul } from "../onnx/ops/linalg.ts";
import { Reshape, Transpose } from "../onnx/ops/movement.ts";
import { ReduceSum } from "../onnx/ops/reduction.ts";
import { f32 } from "../tensor/tensor.ts";
import { weightMatrix } from "./weight_matrix.ts";
import type { WeightLocation } from "./weights.ts";

/** `up down` */
export interface Product {
  /** `[M, r]` */
  readonly up: WeightLocation;
  /** `[r, K]` */
  readonly down: WeightLocation;
}

/** A matrix as it is, or as a product. */
export type Factor = Product | { readonly whole: WeightLocation };

export type WeightChange =
  | { readonly kind: "product"; readonly product: Product }
  /** LoHa: element by element the product of two products. */
  | { readonly kind: "hadamard"; readonly factors: readonly [Product, Product] }
  /** LoKr: the Kronecker product of `[a, c]` and `[b, d, ...]`. */
  | { readonly kind: "kronecker"; readonly left: Factor; readonly right: Factor };

/** DoRA's lengths of the columns or rows of the changed weight. */
export interface Magnitude {
  /** As many numbers as the weight has along `axis`. */
  readonly lengths: WeightLocation;
  /** 0: one length per output, over all inputs. 1: one per input (and channel of a convolution), over all outputs. */
  readonly axis: 0 | 1;
  /** How much of the way from the weight to its changed form. */
  readonly strength: number;
}

export interface ComposedUpdate {
  readonly change: WeightChange;
  readonly scale: number;
  readonly magnitude?: Magnitude;
  /** The weight is stored as `[K, M]`. */
  readonly isTransposed?: boolean;
}

/** Keeps a division by the length of a row of zeros finite; LyCORIS's. */
const EPSILON = 2 ** -23;

/**
 * `W + scale change`, or, with magnitudes, `W + strength (m V / |V| - W)` for that sum as V.
 *
 * @param sum f32 `[M, K]`, whole
 * @param channels of the weight's second axis: K, or less for a convolution
 */
export function composedUpdate(
  g: GraphBuilder,
  name: string,
  sum: Value,
  { change, scale, magnitude, isTransposed = false }: ComposedUpdate,
  channels: number,
): Value {
  const weight = isTransposed ? Transpose(g, sum, [1, 0]) : sum;
  const delta = changeMatrix(g, name, change);
  const changed = Add(g, weight, Mul(g, delta, number(g, scale)));
  const inputs = isTransposed ? sum.shape[0] as number : channels;
  const result = magnitude
    ? withMagnitude(g, `${name}:magnitude`, { weight, changed }, magnitude, inputs)
    : changed;
  return isTransposed ? Transpose(g, result, [1, 0]) : result;
}

function changeMatrix(g: GraphBuilder, name: string, change: WeightChange): Value {
  switch (change.kind) {
    case "product":
      return factorMatrix(g, name, change.product);
    case "hadamard": {
      const [first, second] = change.factors;
      return Mul(g, factorMatrix(g, `${name}:1`, first), factorMatrix(g, `${name}:2`, second));
    }
    case "kronecker": {
      const left = factorMatrix(g, `${name}:left`, change.left);
      const right = factorMatrix(g, `${name}:right`, change.right);
      const [[a, c], [b, d]] = [left.shape, right.shape] as [[number, number], [number, number]];
      const blocks = Mul(g, Reshape(g, left, [a, 1, c, 1]), Reshape(g, right, [1, b, 1, d]));
      return Reshape(g, blocks, [a * b, c * d]);
    }
  }
}

function factorMatrix(g: GraphBuilder, name: string, factor: Factor): Value {
  // Embedded: the runtime reads files of the checkpoint's folder only, and LoRAs lie elsewhere.
  const matrix = (part: string, location: WeightLocation) =>
    weightMatrix(g, `${name}:${part}`, location, { embed: true });
  if ("whole" in factor) return matrix("whole", factor.whole);
  return MatMul(g, matrix("up", factor.up), matrix("down", factor.down));
}

function withMagnitude(
  g: GraphBuilder,
  name: string,
  { weight, changed }: { readonly weight: Value; readonly changed: Value },
  { lengths, axis, strength }: Magnitude,
  inputs: number,
): Value {
  const [rows, columns] = changed.shape as [number, number];
  const cube = Reshape(g, changed, [rows, inputs, columns / inputs]);
  const squares = ReduceSum(g, Mul(g, cube, cube), axis === 0 ? [1, 2] : [0, 2]);
  const current = Add(g, Sqrt(g, squares), number(g, EPSILON));
  const wanted = Reshape(
    g,
    weightMatrix(g, name, lengths, { embed: true }),
    axis === 0 ? [rows, 1, 1] : [1, inputs, 1],
  );
  const scaled = Reshape(g, Mul(g, cube, Div(g, wanted, current)), [rows, columns]);
  return Add(g, weight, Mul(g, Sub(g, scaled, weight), number(g, strength)));
}

function number(g: GraphBuilder, value: number): Value {
  return g.constant(f32([], [value]), "strength");
}
