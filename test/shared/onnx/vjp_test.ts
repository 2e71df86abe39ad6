import assert from "node:assert/strict";
import { TuttiError } from "../../../shared/errors.ts";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Add, Mul, Sigmoid } from "../../../shared/onnx/ops/elementwise.ts";
import { Gemm, MatMul, MultiHeadAttention } from "../../../shared/onnx/ops/linalg.ts";
import { Gather, Reshape, ReshapeLike } from "../../../shared/onnx/ops/movement.ts";
import { printGraph } from "../../../shared/onnx/print.ts";
import { vjpGraph } from "../../../shared/onnx/vjp.ts";
import { f32, type F32Tensor, i64 } from "../../../shared/tensor/tensor.ts";
import { checkGradients, randomFloats } from "./gradient_check.ts";
import { runGraph } from "./run_graph.ts";

const opsOf = ({ nodes }: Graph) => nodes.map(({ op }) => op);

/** `silu(x W^T + b)` with two inputs more than a gradient needs. */
function layer(): Graph {
  const g = new GraphBuilder("layer");
  const x = g.input("x", "float32", ["M", 3]);
  const external = { path: "/models/a.safetensors", offset: 0, length: 24 };
  const weight = g.weight("weight", "float32", [2, 3], external);
  const h = Gemm(g, x, weight, g.constant(f32([2], [1, 2]), "bias"));
  g.output("y", Mul(g, h, Sigmoid(g, h)));
  return g.build();
}

Deno.test("vjpGraph() of a layer, as text", () => {
  assert.equal(
    printGraph(vjpGraph(layer(), { wrt: ["x", "weight"] })),
    `graph layer vjp
  input x: float32 [M, 3]
  input grad_y: float32 [M, 2]
  weight weight: float32 [2, 3]
  constant bias_0: float32 [2] = 0000803f00000040
  gemm_0 = Gemm(x, weight, bias_0) {transB=1}
  sigmoid_0 = Sigmoid(gemm_0)
  mul_1 = Mul(grad_y, sigmoid_0)
  mul_2 = Mul(grad_y, gemm_0)
  mul_3 = Mul(sigmoid_0, sigmoid_0)
  sub_0 = Sub(sigmoid_0, mul_3)
  mul_4 = Mul(mul_2, sub_0)
  add_0 = Add(mul_1, mul_4)
  matmul_0 = MatMul(add_0, weight)
  transpose_0 = Transpose(add_0) {perm=[1,0]}
  matmul_1 = MatMul(transpose_0, x)
  grad_x = Identity(matmul_0)
  grad_weight = Identity(matmul_1)
  output grad_x: float32 [M, 3]
  output grad_weight: float32 [2, 3]
`,
  );
});

Deno.test("vjpGraph() does not walk where no path leads to what is wanted", () => {
  const g = new GraphBuilder("two paths");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  const z = g.input("z", "float32", ["B", 4, "H", "W"]);
  const weight = g.constant(f32([4, 4, 3, 3]), "weight");
  g.output("y", Add(g, Conv(g, x, weight, undefined, { pads: [1, 1, 1, 1] }), Sigmoid(g, z)));
  // The convolution is linear: not even its own value is needed.
  assert.deepEqual(opsOf(vjpGraph(g.build(), { wrt: ["x"] })), [
    "Transpose",
    "Slice",
    "Conv",
    "Identity",
  ]);
  assert.deepEqual(opsOf(vjpGraph(g.build(), { wrt: ["z"] })), [
    "Sigmoid",
    "Mul",
    "Sub",
    "Mul",
    "Identity",
  ]);
});

Deno.test("vjpGraph() gives cotangents to the outputs that are named, and leaves others out", () => {
  const g = new GraphBuilder("two outputs");
  const x = g.input("x", "float32", ["N"]);
  const z = g.input("z", "float32", ["N"]);
  g.output("square", Mul(g, x, x));
  g.output("sigmoid", Sigmoid(g, z));
  const graph = g.build();
  const inputs = (vjp: Graph) => vjp.inputs.map(({ name }) => name);
  assert.deepEqual(inputs(vjpGraph(graph, { wrt: ["x", "z"] })), [
    "x",
    "z",
    "grad_square",
    "grad_sigmoid",
  ]);
  const one = vjpGraph(graph, { wrt: ["x"], cotangentsOf: ["square"] });
  assert.deepEqual(inputs(one), ["x", "z", "grad_square"]);
  assert.throws(() => vjpGraph(graph, { wrt: ["x"], cotangentsOf: ["sigmoid"] }), {
    name: "ShapeError",
    message: 'No output of graph "two outputs" depends on "x"',
  });
});

Deno.test("vjpGraph() gives the outputs, too, where they are wanted", async () => {
  const g = new GraphBuilder("cube");
  const x = g.input("x", "float32", ["N"]);
  g.output("y", Mul(g, Mul(g, x, x), x));
  const vjp = vjpGraph(g.build(), { wrt: ["x"], withOutputs: true });
  assert.deepEqual(vjp.outputs.map(({ name }) => name), ["grad_x", "y"]);
  const results = await runGraph(vjp, { x: f32([3], [1, -2, 3]), grad_y: f32([3], [1, 10, 100]) });
  assert.deepEqual([...(results.y as F32Tensor).data], [1, -8, 27]);
  assert.deepEqual([...(results.grad_x as F32Tensor).data], [3, 120, 2700]);
});

Deno.test("vjpGraph(): a value that is used several times gets the sum of its gradients", async () => {
  const g = new GraphBuilder("shared");
  const x = g.input("x", "float64", ["N"]);
  const square = Mul(g, x, x);
  g.output("a", Add(g, Mul(g, square, x), Sigmoid(g, square)));
  g.output("b", Mul(g, square, square));
  await checkGradients(g.build(), { x: randomFloats("float64", [7], 1) });
});

Deno.test("vjpGraph() differentiates by a weight and by a constant as by an input", async () => {
  const g = new GraphBuilder("constants");
  const x = g.input("x", "float32", ["M", 2]);
  const constant = g.constant(f32([2, 3], [1, 2, 3, 4, 5, 6]), "table");
  g.output("y", MatMul(g, x, constant));
  const vjp = vjpGraph(g.build(), { wrt: [constant.name] });
  const { grad_table_0: gradient } = await runGraph(vjp, {
    x: f32([2, 2], [1, 2, 3, 4]),
    grad_y: f32([2, 3], [1, 0, 0, 0, 10, 100]),
  });
  assert.deepEqual([...(gradient as F32Tensor).data], [1, 30, 300, 2, 40, 400]);
});

Deno.test("vjpGraph() refuses an operator without a derivative by name, only where it is on the way", () => {
  const g = new GraphBuilder("fused");
  const query = g.input("query", "float32", ["B", "S", 8]);
  const other = g.input("other", "float32", ["B", "S", 8]);
  g.output("y", Mul(g, MultiHeadAttention(g, query, query, query, 2), other));
  assert.throws(() => vjpGraph(g.build(), { wrt: ["query"] }), (error) => {
    assert.ok(error instanceof TuttiError);
    assert.equal(error.code, "UNIMPLEMENTED");
    assert.match(
      error.message,
      /^Operator MultiHeadAttention of graph "fused" has no derivative: .* the primitive lowering$/,
    );
    assert.deepEqual(error.details, { graph: "fused", op: "MultiHeadAttention" });
    return true;
  });
  assert.ok(opsOf(vjpGraph(g.build(), { wrt: ["other"] })).includes("MultiHeadAttention"));
});

Deno.test("vjpGraph() takes shapes and indices as what they are: whole numbers", async () => {
  const g = new GraphBuilder("whole numbers");
  const table = g.input("table", "float64", [4, 3]);
  const ids = g.input("ids", "int64", ["B", "L"]);
  const rows = Gather(g, table, ids);
  g.output("y", ReshapeLike(g, Reshape(g, Mul(g, rows, rows), [0, -1]), rows));
  await checkGradients(g.build(), {
    table: randomFloats("float64", [4, 3], 1),
    ids: i64([1, 3], [2, 2, 0]),
  });
  const refuse = (wrt: string[], message: string) =>
    assert.throws(() => vjpGraph(g.build(), { wrt }), { name: "ShapeError", message });
  const missing = (name: string) =>
    `Graph "whole numbers" has no input or weight "${name}" of floats`;
  refuse(["ids"], missing("ids"));
  refuse(["y"], missing("y"));
  refuse(["table", "tables"], missing("tables"));
  refuse([], "A derivative needs at least one input or weight");
});
