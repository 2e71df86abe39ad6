import assert from "node:assert/strict";
import { openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add, Mul } from "../../../shared/onnx/ops/elementwise.ts";
import { Split } from "../../../shared/onnx/ops/movement.ts";
import { rewriteGraph } from "../../../shared/onnx/rewrite.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { goldenPath } from "../../support/goldens.ts";
import { runGraph } from "./run_graph.ts";

const copy = (graph: Graph) => rewriteGraph(graph, () => undefined);

/** What stays the same when values get other names. */
function outline({ inputs, outputs, initializers, nodes }: Graph) {
  return {
    inputs,
    outputs,
    initializers: initializers.map(({ dtype, shape }) => ({ dtype, shape })),
    nodes: nodes.map(({ op, domain, attributes }) => ({ op, domain, attributes })),
  };
}

Deno.test("rewriteGraph() that rewrites nothing keeps graph and bits, of every kind of block", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const table = unetBlockTable(config);
  for (const id of ["IN00", "IN01", "IN03", "M00", "OUT02", "OUT11"]) {
    const block = table.find((candidate) => candidate.id === id)!;
    const graph = unetBlockGraph(block, config, Weights.of(weights));
    const copied = copy(graph);
    assert.deepEqual(outline(copied), outline(graph), id);
    const sizes: Record<string, number> = { B: 1, H: 4, W: 4, L: 3 };
    const inputs = Object.fromEntries(graph.inputs.map(({ name, dtype, shape }, seed): [
      string,
      Tensor,
    ] => [
      name,
      dtype === "int64"
        ? i64([2], [8, 8])
        : randomTensor(shape.map((dim) => typeof dim === "number" ? dim : sizes[dim]!), seed + 1),
    ]));
    const bindings = { TH: 8, TW: 8 };
    const [before, after] = [
      await runGraph(graph, inputs, bindings),
      await runGraph(copied, inputs, bindings),
    ];
    assert.ok(
      bitEqual(before.output!.data as Float32Array, after.output!.data as Float32Array),
      id,
    );
  }
});

Deno.test("rewriteGraph() replaces the nodes that the rewriter answers for", async () => {
  const g = new GraphBuilder("sum");
  const a = g.input("a", "float32", ["N"]);
  g.output("y", Add(g, Add(g, a, a), g.constant(f32([], [5]))));
  const product = rewriteGraph(
    g.build(),
    (g, { op, inputs: [x, y] }) => op === "Add" ? [Mul(g, x!, y!)] : undefined,
  );
  assert.deepEqual(product.nodes.map(({ op }) => op), ["Mul", "Mul", "Identity"]);
  const { y } = await runGraph(product, { a: f32([2], [2, 3]) });
  assert.deepEqual([...y!.data as Float32Array], [2 * 2 * 5, 3 * 3 * 5]);
});

Deno.test("rewriteGraph() keeps nodes with several outputs, absent inputs and outputs' dtypes", async () => {
  const g = new GraphBuilder("halves");
  const a = g.input("a", "float32", [2, 4]);
  const [left, right] = Split(g, a, 1, 2);
  g.output("left", left!);
  g.output("right", right!);
  const half = rewriteGraph(g.build(), (g, { op, domain, attributes, inputs, outputs }) => {
    if (op !== "Split") return undefined;
    const [x] = inputs;
    const cast = g.node("Cast", [x], [{ dtype: "float16", shape: x!.shape }], {
      attributes: { to: { int: 10 } },
    });
    const types = outputs.map(({ shape }) => ({ dtype: "float16" as const, shape }));
    return g.node(op, cast, types, { domain, attributes });
  });
  assert.deepEqual(half.outputs.map(({ name, dtype }) => [name, dtype]), [
    ["left", "float32"],
    ["right", "float32"],
  ]);
  const results = await runGraph(half, { a: f32([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]) });
  assert.deepEqual([...results.right!.data as Float32Array], [3, 4, 7, 8]);
});
