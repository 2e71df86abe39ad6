import assert from "node:assert/strict";
import { openTextFolder, openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import {
  SD15_TEXT,
  SD15_UNET,
  SD15_VAE,
  SDXL_TEXT_2,
  SDXL_UNET,
} from "../../../shared/models/config/known_configs.ts";
import { Lane } from "../../../shared/lane/lane.ts";
import { clipTextGraph, textProjectionGraph } from "../../../shared/models/clip_text.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { type BlockInput, blockVjpGraph } from "../../../shared/models/unet/block_vjp.ts";
import { timeEmbeddingGraph } from "../../../shared/models/unet/time_embedding.ts";
import { vaeDecoderGraph, vaeEncoderGraph } from "../../../shared/models/vae.ts";
import { Weights } from "../../../shared/models/weights.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { gradientName, vjpGraph } from "../../../shared/onnx/vjp.ts";
import { type F32Tensor, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { assertClose, goldenPath } from "../../support/goldens.ts";
import { testOnGpu } from "../../support/on_gpu.ts";
import { checkGradients, randomFloats } from "../onnx/gradient_check.ts";
import { runOn } from "../onnx/run_graph.ts";

const floatInputs = ({ inputs }: Graph) => inputs.filter(({ dtype }) => dtype !== "int64");

/** Gradients by every input and weight have their shapes. */
function assertDifferentiable(graph: Graph): void {
  const wrt = floatInputs(graph);
  const { outputs } = vjpGraph(graph, { wrt: wrt.map(({ name }) => name) });
  assert.deepEqual(
    outputs.map(({ name, shape }) => [name, shape]),
    wrt.map(({ name, shape }) => [gradientName(name), shape]),
    graph.name,
  );
}

Deno.test("every graph of our models has a derivative by every input and weight, SABW's being tested elsewhere", () => {
  for (const config of [SD15_UNET, SDXL_UNET]) {
    for (const block of unetBlockTable(config)) {
      assertDifferentiable(unetBlockGraph(block, config, Weights.asInputs(), "primitive"));
    }
    assertDifferentiable(timeEmbeddingGraph(config, Weights.asInputs()));
  }
  assertDifferentiable(vaeDecoderGraph(SD15_VAE, Weights.asInputs(), "primitive"));
  assertDifferentiable(vaeEncoderGraph(SD15_VAE, Weights.asInputs(), "primitive"));
  for (const config of [SD15_TEXT, SDXL_TEXT_2]) {
    const graph = clipTextGraph(config, Weights.asInputs());
    const { outputs } = vjpGraph(graph, {
      wrt: floatInputs(graph).map(({ name }) => name),
      cotangentsOf: ["last_hidden_state"],
    });
    assert.equal(outputs.length, floatInputs(graph).length);
  }
  assertDifferentiable(textProjectionGraph(SDXL_TEXT_2, Weights.asInputs()));
});

Deno.test("blockVjpGraph() agrees with finite differences by every input, for every kind of block", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const sizes: Readonly<Record<string, number>> = { B: 2, H: 4, W: 3, L: 5 };
  // OUT02 up-samples to an odd height and an even width.
  const bindings = { TH: 7, TW: 6 };
  for (const id of ["IN00", "IN01", "IN03", "IN10", "M00", "OUT02", "OUT05", "OUT11"]) {
    const block = unetBlockTable(config).find((candidate) => candidate.id === id)!;
    const graph = unetBlockGraph(block, config, Weights.of(weights), "primitive");
    const inputs = Object.fromEntries(graph.inputs.map(({ name, dtype, shape }, i): [
      string,
      Tensor,
    ] => {
      if (dtype === "int64") return [name, i64([2], [bindings.TH, bindings.TW])];
      const bound = shape.map((dim) => typeof dim === "number" ? dim : sizes[dim]!);
      return [name, randomFloats("float32", bound, i + 1)];
    }));
    // A hundred f32 operations one after another, and group norms over few pixels that bend sharply.
    await checkGradients(graph, inputs, { bindings, step: 0.01, tolerance: 5e-3 });
    const wrt = floatInputs(graph).map(({ name }) => name as BlockInput);
    assert.deepEqual(
      blockVjpGraph(block, config, Weights.of(weights), wrt),
      vjpGraph(graph, { wrt }),
    );
  }
});

Deno.test("budget: of a residual block one convolution is computed again, and each is passed once backwards", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const convolutions = (id: string) => {
    const block = unetBlockTable(config).find((candidate) => candidate.id === id)!;
    const { nodes } = blockVjpGraph(block, config, Weights.of(weights));
    return nodes.filter(({ op }) => op === "Conv").length;
  };
  // conv1; then conv2 and conv1.
  assert.equal(convolutions("IN10"), 3);
  // conv1; then the up-sampler's, conv2, conv1 and the shortcut. The up-sampler's input is not computed, only its size is asked for.
  assert.equal(convolutions("OUT02"), 5);
  // Nothing but the way back.
  assert.equal(convolutions("IN00"), 1);
});

Deno.test("budget: the gradient by the input does not multiply anything for the text or the time embedding", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const block = unetBlockTable(config).find(({ id }) => id === "IN01")!;
  const products = (wrt?: readonly BlockInput[]) =>
    blockVjpGraph(block, config, Weights.of(weights), wrt).nodes
      .filter(({ op }) => op === "MatMul" || op === "Gemm").length;
  const all = products(["hidden_states", "temb", "encoder_hidden_states"]);
  // The text's keys and values: two products of attention and two projections; the time embedding's projection.
  assert.equal(all - products(), 5);
  assert.throws(() => products(["residual"]), /has no input or weight "residual"/);
});

Deno.test("the text encoder's gradients agree with finite differences, from the embedding tables on", async () => {
  const { config } = await openTextFolder(goldenPath("sd15", "expert-a", "text_encoder"));
  const weights = Weights.asInputs();
  const graph = clipTextGraph(config, weights);
  const { maxLength, vocabSize } = config;
  const inputs: Record<string, Tensor> = {
    input_ids: i64(
      [1, maxLength],
      Array.from({ length: maxLength }, (_, i) => (7 * i) % vocabSize),
    ),
  };
  [...weights.demanded].forEach(([key, shape], i) => {
    const gain = shape.length === 2 ? 1 / Math.sqrt(shape[1]!) : 0.5;
    inputs[key] = randomFloats("float32", shape, i + 1, { gain, shift: /norm/.test(key) ? 1 : 0 });
  });
  const layer = "text_model.encoder.layers.0";
  const wrt = [
    "text_model.embeddings.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight",
    `${layer}.self_attn.q_proj.weight`,
    `${layer}.self_attn.v_proj.bias`,
    `${layer}.mlp.fc1.weight`,
    "text_model.final_layer_norm.weight",
  ];
  await checkGradients(graph, inputs, { wrt, step: 0.01, tolerance: 5e-3 });
});

testOnGpu("gradients of blocks on WebGPU are those of the processor", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const sizes: Readonly<Record<string, number>> = { B: 1, H: 4, W: 3, L: 5 };
  const outputs: Readonly<Record<string, number>> = {
    TH: 7,
    TW: 6,
    "(floor((H-1)/2)+1)": 2,
    "(floor((W-1)/2)+1)": 2,
  };
  await using cpu = new Lane({ device: "cpu", threads: 1 });
  await using gpu = new Lane({ device: "webgpu", threads: 1 });
  // A down-sampler (transposed convolution), an up-sampler (resize) and a transformer.
  for (const id of ["IN03", "OUT02", "IN01"]) {
    const block = unetBlockTable(config).find((candidate) => candidate.id === id)!;
    const graph = blockVjpGraph(block, config, Weights.of(weights));
    const inputs = Object.fromEntries(graph.inputs.map(({ name, dtype, shape }, i): [
      string,
      Tensor,
    ] => {
      if (dtype === "int64") return [name, i64([2], [7, 6])];
      const bound = shape.map((dim) => typeof dim === "number" ? dim : sizes[dim] ?? outputs[dim]!);
      return [name, randomFloats("float32", bound, i + 1)];
    }));
    const [expected, actual] = [
      await runOn(cpu, graph, inputs),
      await runOn(gpu, graph, inputs),
    ] as Record<string, F32Tensor>[];
    // What verify allows a device in f32.
    for (const [name, gradient] of Object.entries(expected!)) {
      assertClose(`${id} ${name}`, actual![name]!, gradient, 1e-3);
    }
  }
});
