import assert from "node:assert/strict";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { Mul } from "../../../../shared/onnx/ops/elementwise.ts";
import { AddScaledMatMul, Gemm, MatMul } from "../../../../shared/onnx/ops/linalg.ts";
import { Softmax } from "../../../../shared/onnx/ops/normalization.ts";
import { vjpGraph } from "../../../../shared/onnx/vjp.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

const random = (shape: readonly number[], seed: number) => randomFloats("float64", shape, seed);

Deno.test("MatMul: gradients of both sides, batches broadcast on either", async () => {
  for (
    const [a, b, shapes] of [
      [["M", 3], [3, "N"], [[4, 3], [3, 2]]],
      [["B", 2, "M", 3], ["B", 2, 3, "N"], [[2, 2, 4, 3], [2, 2, 3, 5]]],
      [["B", 2, "M", 3], [3, "N"], [[2, 2, 4, 3], [3, 5]]],
      [["M", 3], ["B", 3, "N"], [[4, 3], [2, 3, 5]]],
      [["B", 1, "M", 3], [2, 3, "N"], [[3, 1, 4, 3], [2, 3, 5]]],
    ] as const
  ) {
    const graph = graphOf("float64", { a, b }, (g, a, b) => MatMul(g, a!, b!));
    await checkGradients(graph, { a: random(shapes[0], 1), b: random(shapes[1], 2) });
  }
});

Deno.test("Gemm: gradients of rows, of torch's weights and of the bias", async () => {
  const shapes = { x: ["M", 3], weight: [4, 3], bias: [4] } as const;
  const graph = graphOf("float64", shapes, (g, x, weight, bias) => Gemm(g, x!, weight!, bias));
  const inputs = { x: random([5, 3], 1), weight: random([4, 3], 2), bias: random([4], 3) };
  await checkGradients(graph, inputs);
  const { bias: _, ...others } = shapes;
  const plain = graphOf("float64", others, (g, x, weight) => Gemm(g, x!, weight!));
  await checkGradients(plain, { x: inputs.x, weight: inputs.weight });
});

Deno.test("AddScaledMatMul: gradients of the sum and of both factors, scaled", async () => {
  const shapes = { sum: ["M", 4], a: ["M", 2], b: [2, 4] } as const;
  const graph = graphOf(
    "float64",
    shapes,
    (g, sum, a, b) => AddScaledMatMul(g, sum!, a!, b!, -0.75),
  );
  await checkGradients(graph, {
    sum: random([3, 4], 1),
    a: random([3, 2], 2),
    b: random([2, 4], 3),
  });
});

Deno.test("the derivative of a linear layer is two products that transpose an operand each, and a sum", () => {
  const shapes = { x: ["M", 3], weight: [4, 3], bias: [4] } as const;
  const graph = graphOf("float32", shapes, (g, x, weight, bias) => Gemm(g, x!, weight!, bias));
  const { nodes } = vjpGraph(graph, { wrt: ["x", "weight", "bias"] });
  const ops = nodes.map(({ op }) => op).filter((op) => op !== "Identity");
  assert.deepEqual(ops, ["MatMul", "Transpose", "MatMul", "ReduceSum", "Reshape"]);
});

Deno.test("Softmax before a product takes its sums from the product, unless its weights have another use", async () => {
  const shapes = { x: ["B", 2, "S", "L"], b: ["B", 2, "L", 3] } as const;
  const inputs = { x: random([2, 2, 4, 5], 1), b: random([2, 2, 5, 3], 2) };
  for (const otherUse of ["none", "before", "after"]) {
    const g = new GraphBuilder("attention");
    const [x, b] = Object.entries(shapes).map(([name, shape]) => g.input(name, "float64", shape));
    const weights = Softmax(g, x!, -1);
    const squares = () => g.output("squares", Mul(g, weights, weights));
    if (otherUse === "before") squares();
    g.output("mixed", MatMul(g, weights, b!));
    if (otherUse === "after") squares();
    const graph = g.build();
    await checkGradients(graph, inputs);
    const { nodes, values } = vjpGraph(graph, { wrt: ["x"] });
    const summed = nodes.filter(({ op }) => op === "ReduceSum")
      .map(({ inputs: [name] }) => values.get(name!)!.shape.at(-1));
    assert.deepEqual(summed, otherUse === "none" ? [3] : ["L"]);
  }
});

Deno.test("Softmax before a product that broadcasts it sums over its own axis", async () => {
  const shapes = { x: ["S", "L"], b: ["B", "L", 3] } as const;
  const graph = graphOf("float64", shapes, (g, x, b) => MatMul(g, Softmax(g, x!, -1), b!));
  await checkGradients(graph, { x: random([4, 5], 1), b: random([2, 5, 3], 2) });
});
