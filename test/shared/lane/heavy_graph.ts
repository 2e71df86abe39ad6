/** A graph that keeps a lane busy for a while: products of square matrices, one after another. @module */

import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { MatMul } from "../../../shared/onnx/ops/linalg.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";

const SIZE = 512;

/** `y = x^(products + 1)`, f32 `[512, 512]`. */
export function heavyGraph(products: number): Graph {
  const g = new GraphBuilder("heavy");
  const x = g.input("x", "float32", [SIZE, SIZE]);
  let power = x;
  for (let i = 0; i < products; i++) power = MatMul(g, power, x);
  g.output("y", power);
  return g.build();
}

/** The matrix of `1 / size`, whose every power it is itself. */
export function heavyInput(): F32Tensor {
  return f32([SIZE, SIZE], new Float32Array(SIZE * SIZE).fill(1 / SIZE));
}

export const HEAVY_OUTPUT = { y: { dtype: "float32", shape: [SIZE, SIZE] } } as const;
