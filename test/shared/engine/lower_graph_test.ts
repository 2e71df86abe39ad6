import assert from "node:assert/strict";
import { openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { numericsFingerprint } from "../../../shared/engine/fingerprint.ts";
import { type ComputeOptions, lowerGraph } from "../../../shared/engine/lower_graph.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { Weights } from "../../../shared/models/weights.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import type { OpName } from "../../../shared/onnx/op_name.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { type F32Tensor, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { assertClose, goldenPath } from "../../support/goldens.ts";
import { zooPath } from "../../support/zoo.ts";
import { runGraph } from "../onnx/run_graph.ts";

const GPU = { device: "webgpu", threads: 1 } as const;
const F16 = { ...GPU, lowering: { maxFusedHeadDim: Infinity, precision: "f16" } } as const;

/** A block of a model in f16 (the bundled ones) or f32 (the goldens). */
async function blockGraph(dtype: "f16" | "f32", id: string): Promise<Graph> {
  const folder = dtype === "f16" ? zooPath("round", "unet") : goldenPath("sd15/expert-a/unet");
  const { config, weights } = await openUNetFolder(folder);
  const block = unetBlockTable(config).find((candidate) => candidate.id === id)!;
  return unetBlockGraph(block, config, Weights.of(weights));
}

const SIZES: Readonly<Record<string, number>> = { B: 2, H: 6, W: 5, L: 9 };

async function output(graph: Graph): Promise<F32Tensor> {
  const inputs = Object.fromEntries(graph.inputs.map(({ name, dtype, shape }, seed): [
    string,
    Tensor,
  ] => [
    name,
    dtype === "int64"
      ? i64([2], [12, 10])
      : randomTensor(shape.map((dim) => typeof dim === "number" ? dim : SIZES[dim]!), seed + 1),
  ]));
  return (await runGraph(graph, inputs, { TH: 12, TW: 10 })).output as F32Tensor;
}

const countOf = ({ nodes }: Graph, name: string) => nodes.filter(({ op }) => op === name).length;

/** The largest head of the block's attention. */
function headDim(graph: Graph): number {
  const { inputs, attributes } = graph.nodes.find(({ op }) => op === "MultiHeadAttention")!;
  const heads = (attributes.num_heads as { int: number }).int;
  return (graph.values.get(inputs[0]!)!.shape[2] as number) / heads;
}

Deno.test("lowerGraph() leaves the processor's graphs as they are", async () => {
  const graph = await blockGraph("f32", "IN01");
  assert.equal(lowerGraph(graph, { device: "cpu", threads: 1 }), graph);
});

Deno.test("lowerGraph() fuses what the device gets right, and nothing on one that is unknown", async () => {
  const graph = await blockGraph("f32", "IN01");
  const width = headDim(graph);
  const fusedAt = (options: ComputeOptions) =>
    countOf(lowerGraph(graph, options), "MultiHeadAttention");
  const upTo = (maxFusedHeadDim: number) =>
    fusedAt({ ...GPU, lowering: { maxFusedHeadDim, precision: "f32" } });
  assert.equal(upTo(width), 2, "self-attention and cross-attention");
  assert.equal(upTo(width - 1), 0);
  assert.equal(fusedAt(GPU), 0);
  assertClose("output", await output(lowerGraph(graph, GPU)), await output(graph), 1e-5);
});

Deno.test("f16: f32 goes in and comes out, whatever flows between is f16 but for sums over many", async () => {
  for (const id of ["IN01", "IN03", "OUT02", "OUT11"]) {
    const half = lowerGraph(await blockGraph("f32", id), F16);
    for (const { name, dtype } of [...half.inputs, ...half.outputs]) {
      if (name !== "target_size") assert.equal(dtype, "float32", `${id} ${name}`);
    }
    const dtypeOf = (name: string) => half.values.get(name)!.dtype;
    for (const { op, inputs, outputs } of half.nodes) {
      const wanted = ({
        Conv: "float16",
        Gemm: "float16",
        MultiHeadAttention: "float16",
        InstanceNormalization: "float32",
        LayerNormalization: "float32",
        Softmax: "float32",
        Resize: "float16",
      } as Partial<Record<OpName, string>>)[op];
      if (wanted === undefined) continue;
      const floats = [...inputs.filter((name) => name !== ""), ...outputs].map(dtypeOf)
        .filter((dtype) => dtype !== "int64");
      assert.deepEqual(new Set(floats), new Set([wanted]), `${id} ${op}`);
    }
    for (const { dtype } of half.values.values()) {
      assert.ok(["float32", "float16", "int64"].includes(dtype), `${id} has ${dtype}`);
    }
  }
});

Deno.test("f16: a weight that the file has in f16 is used without a detour", async () => {
  const graph = await blockGraph("f16", "IN01");
  const half = lowerGraph(graph, F16);
  const weights = new Set(
    half.initializers.flatMap((each) => "external" in each ? [each.name] : []),
  );
  const convolutions = half.nodes.filter(({ op }) => op === "Conv" || op === "Gemm");
  assert.ok(convolutions.length > 0);
  for (const { op, inputs: [, weight] } of convolutions) {
    assert.ok(weights.has(weight!), `${op} takes "${weight}", not the weight itself`);
  }
});

Deno.test("f16: the error against f32 is that of 16-bit floats", async () => {
  for (const dtype of ["f32", "f16"] as const) {
    for (const id of ["IN01", "M00", "OUT02", "OUT11"]) {
      const graph = await blockGraph(dtype, id);
      const [exact, half] = [await output(graph), await output(lowerGraph(graph, F16))];
      const { relativeL2 } = difference(half.data, exact.data);
      assert.ok(relativeL2 < 1e-2, `${dtype} ${id}: ${relativeL2}`);
      assert.ok(relativeL2 > 1e-5, `${dtype} ${id} was not computed in f16: ${relativeL2}`);
    }
  }
});

Deno.test("the fingerprint tells devices, precisions and adapters apart", async () => {
  const graphs = [await blockGraph("f32", "IN00"), await blockGraph("f32", "IN01")];
  const f32 = { ...F16, lowering: { ...F16.lowering, precision: "f32" } } as const;
  const cpu = await numericsFingerprint(graphs, { device: "cpu", threads: 1 });
  const gpu = await numericsFingerprint(graphs, { ...f32, adapter: "Card 9000" });
  const half = await numericsFingerprint(graphs, { ...F16, adapter: "Card 9000" });
  assert.deepEqual([cpu, gpu, half].map((each) => [each.device, each.precision]), [
    ["cpu", "f32"],
    ["webgpu", "f32"],
    ["webgpu", "f16"],
  ]);
  assert.equal(gpu.isa, `${cpu.isa}; Card 9000`);
  assert.equal(gpu.graphHash, cpu.graphHash, "what is computed is the same");
  assert.notEqual(half.graphHash, gpu.graphHash);
});
