/**
 * Small graphs with known results, by which a device shows that it computes right. Sizes are chosen so that
 * tiles are cut at the edges.
 *
 * @module
 */

import { attention } from "../models/layers/attention.ts";
import { type Graph, GraphBuilder, type Value } from "../onnx/graph.ts";
import { Cast } from "../onnx/ops/elementwise.ts";
import { MatMul } from "../onnx/ops/linalg.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { f32, type F32Tensor } from "../tensor/tensor.ts";

export interface Trial {
  /** Its only output is `y`. */
  readonly graph: Graph;
  readonly inputs: Readonly<Record<string, F32Tensor>>;
  readonly expected: F32Tensor;
}

const BATCH = 2;
const HEADS = 2;
const QUERIES = 37;
const KEYS = 21;

/** A matrix product. */
export function productTrial(float: "float32" | "float16"): Trial {
  const [rows, inner, columns] = [QUERIES, KEYS, 19];
  const [a, b] = [wave([rows, inner], 1), wave([inner, columns], 2)];
  const graph = trialGraph(`product ${float}`, { a, b }, float, (g, [x, y]) => MatMul(g, x!, y!));
  const expected = f32([rows, columns]);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += a.data[i * inner + k]! * b.data[k * columns + j]!;
      expected.data[i * columns + j] = sum;
    }
  }
  return { graph, inputs: { a, b }, expected };
}

/** Fused attention with two heads of this width. */
export function attentionTrial(float: "float32" | "float16", headDim: number): Trial {
  const width = HEADS * headDim;
  const inputs = {
    query: wave([BATCH, QUERIES, width], 3),
    key: wave([BATCH, KEYS, width], 4),
    value: wave([BATCH, KEYS, width], 5),
  };
  const name = `attention ${float} ${headDim}`;
  const graph = trialGraph(name, inputs, float, (g, [query, key, value]) =>
    attention(g, {
      query: query!,
      key: key!,
      value: value!,
      heads: HEADS,
      lowering: "fused",
    }));
  return { graph, inputs, expected: exactAttention(inputs, headDim) };
}

function trialGraph(
  name: string,
  inputs: Readonly<Record<string, F32Tensor>>,
  float: "float32" | "float16",
  build: (g: GraphBuilder, inputs: readonly Value[]) => Value,
): Graph {
  const g = new GraphBuilder(name);
  const values = Object.entries(inputs).map(([input, { shape }]) =>
    Cast(g, g.input(input, "float32", shape), float, DTYPES[float].onnx)
  );
  g.output("y", Cast(g, build(g, values), "float32", DTYPES.float32.onnx));
  return g.build();
}

/** softmax(q k^T / sqrt(headDim)) v per head, in f64. */
function exactAttention(
  { query, key, value }: Readonly<Record<"query" | "key" | "value", F32Tensor>>,
  headDim: number,
): F32Tensor {
  const width = HEADS * headDim;
  const result = f32(query.shape);
  for (let b = 0; b < BATCH; b++) {
    for (let head = 0; head < HEADS; head++) {
      const at = (token: number, tokens: number) => (b * tokens + token) * width + head * headDim;
      for (let q = 0; q < QUERIES; q++) {
        const weights = Array.from({ length: KEYS }, (_, k) => {
          let score = 0;
          for (let d = 0; d < headDim; d++) {
            score += query.data[at(q, QUERIES) + d]! * key.data[at(k, KEYS) + d]!;
          }
          return Math.exp(score / Math.sqrt(headDim));
        });
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        weights.forEach((weight, k) => {
          for (let d = 0; d < headDim; d++) {
            result.data[at(q, QUERIES) + d]! += weight / total * value.data[at(k, KEYS) + d]!;
          }
        });
      }
    }
  }
  return result;
}

/** Numbers in [-1, 1] without a pattern that a wrong index could hit again. */
function wave(shape: readonly number[], phase: number): F32Tensor {
  const tensor = f32(shape);
  for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = Math.sin(0.7 * i * i + phase * i);
  return tensor;
}
