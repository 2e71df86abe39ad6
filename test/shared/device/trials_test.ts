import assert from "node:assert/strict";
import { attentionTrial, productTrial } from "../../../shared/device/trials.ts";
import { unfuseAttention } from "../../../shared/engine/lower_graph.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { assertClose } from "../../support/goldens.ts";
import { runGraph } from "../onnx/run_graph.ts";

Deno.test("the trials' exact results are what the processor computes", async () => {
  for (
    const trial of [
      productTrial("float32"),
      ...[8, 40].map((d) => attentionTrial("float32", d)),
    ]
  ) {
    const { y } = await runGraph(trial.graph, trial.inputs);
    assertClose(trial.graph.name, y as F32Tensor, trial.expected, 1e-5);
  }
});

Deno.test("the trial of fused attention is fused, and equals the primitive lowering", async () => {
  const { graph, inputs, expected } = attentionTrial("float32", 16);
  const primitive = unfuseAttention(graph, 0);
  const has = (each: typeof graph) => each.nodes.some(({ op }) => op === "MultiHeadAttention");
  assert.deepEqual([has(graph), has(primitive)], [true, false]);
  assertClose("y", (await runGraph(primitive, inputs)).y as F32Tensor, expected, 1e-5);
});

Deno.test("the trials in f16 multiply f16, and give f32", async () => {
  const { graph, inputs, expected } = productTrial("float16");
  const { inputs: factors } = graph.nodes.find(({ op }) => op === "MatMul")!;
  assert.deepEqual(factors.map((name) => graph.values.get(name)!.dtype), ["float16", "float16"]);
  const { y } = await runGraph(graph, inputs);
  assertClose("y", y as F32Tensor, expected, 1e-2);
});
