import assert from "node:assert/strict";
import { openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { SD15_UNET, SD15_VAE } from "../../../shared/models/config/known_configs.ts";
import type { Lowering } from "../../../shared/models/layers/attention.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { vaeDecoderGraph } from "../../../shared/models/vae.ts";
import { Weights } from "../../../shared/models/weights.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { printGraph } from "../../../shared/onnx/print.ts";
import { elementCount } from "../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../support/goldens.ts";
import { diffusersTable, readKeyTable } from "./key_tables.ts";
import { SDXL_UNET } from "./sdxl_config.ts";

/** How often each op stands in a graph. */
function opCounts({ nodes }: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { op } of nodes) counts[op] = (counts[op] ?? 0) + 1;
  return counts;
}

async function sd15Block(id: string, lowering: Lowering = "fused"): Promise<Graph> {
  const weights = Weights.of(diffusersTable(await readKeyTable("sd15_unet")));
  const block = unetBlockTable(SD15_UNET).find((candidate) => candidate.id === id)!;
  return unetBlockGraph(block, SD15_UNET, weights, lowering);
}

Deno.test("unetBlockGraph() of a residual block, as text", async () => {
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const block = unetBlockTable(config).find(({ id }) => id === "IN10")!;
  assert.equal(
    printGraph(unetBlockGraph(block, config, Weights.of(weights))),
    `graph IN10
  input hidden_states: float32 [B, 32, H, W]
  input temb: float32 [B, 64]
  constant ones_0: float32 [8] = 0000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f
  constant zeros_0: float32 [8] = 0000000000000000000000000000000000000000000000000000000000000000
  constant shape_0: int64 [3] = 00000000000000000800000000000000ffffffffffffffff
  weight down_blocks.3.resnets.0.norm1.weight:32x1x1: float32 [32, 1, 1]
  weight down_blocks.3.resnets.0.norm1.bias:32x1x1: float32 [32, 1, 1]
  weight down_blocks.3.resnets.0.conv1.weight: float32 [32, 32, 3, 3]
  weight down_blocks.3.resnets.0.conv1.bias: float32 [32]
  weight down_blocks.3.resnets.0.time_emb_proj.weight: float32 [32, 64]
  weight down_blocks.3.resnets.0.time_emb_proj.bias: float32 [32]
  constant shape_2: int64 [4] = 0000000000000000000000000000000001000000000000000100000000000000
  constant ones_1: float32 [8] = 0000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f
  constant zeros_1: float32 [8] = 0000000000000000000000000000000000000000000000000000000000000000
  constant shape_3: int64 [3] = 00000000000000000800000000000000ffffffffffffffff
  weight down_blocks.3.resnets.0.norm2.weight:32x1x1: float32 [32, 1, 1]
  weight down_blocks.3.resnets.0.norm2.bias:32x1x1: float32 [32, 1, 1]
  weight down_blocks.3.resnets.0.conv2.weight: float32 [32, 32, 3, 3]
  weight down_blocks.3.resnets.0.conv2.bias: float32 [32]
  reshape_0 = Reshape(hidden_states, shape_0)
  instancenormalization_0 = InstanceNormalization(reshape_0, ones_0, zeros_0) {epsilon=0.00001}
  shape_1 = Shape(hidden_states)
  reshape_1 = Reshape(instancenormalization_0, shape_1)
  mul_0 = Mul(reshape_1, down_blocks.3.resnets.0.norm1.weight:32x1x1)
  add_0 = Add(mul_0, down_blocks.3.resnets.0.norm1.bias:32x1x1)
  sigmoid_0 = Sigmoid(add_0)
  mul_1 = Mul(add_0, sigmoid_0)
  conv_0 = Conv(mul_1, down_blocks.3.resnets.0.conv1.weight, down_blocks.3.resnets.0.conv1.bias) {kernel_shape=[3,3], strides=[1,1], pads=[1,1,1,1]}
  sigmoid_1 = Sigmoid(temb)
  mul_2 = Mul(temb, sigmoid_1)
  gemm_0 = Gemm(mul_2, down_blocks.3.resnets.0.time_emb_proj.weight, down_blocks.3.resnets.0.time_emb_proj.bias) {transB=1}
  reshape_2 = Reshape(gemm_0, shape_2)
  add_1 = Add(conv_0, reshape_2)
  reshape_3 = Reshape(add_1, shape_3)
  instancenormalization_1 = InstanceNormalization(reshape_3, ones_1, zeros_1) {epsilon=0.00001}
  shape_4 = Shape(add_1)
  reshape_4 = Reshape(instancenormalization_1, shape_4)
  mul_3 = Mul(reshape_4, down_blocks.3.resnets.0.norm2.weight:32x1x1)
  add_2 = Add(mul_3, down_blocks.3.resnets.0.norm2.bias:32x1x1)
  sigmoid_2 = Sigmoid(add_2)
  mul_4 = Mul(add_2, sigmoid_2)
  conv_1 = Conv(mul_4, down_blocks.3.resnets.0.conv2.weight, down_blocks.3.resnets.0.conv2.bias) {kernel_shape=[3,3], strides=[1,1], pads=[1,1,1,1]}
  add_3 = Add(hidden_states, conv_1)
  output = Identity(add_3)
  output output: float32 [B, 32, H, W]
`,
  );
});

Deno.test("unetBlockGraph() infers the shapes of the block table, for every block of SD1.5 and SDXL", async () => {
  for (const [name, config] of [["sd15_unet", SD15_UNET], ["sdxl_unet", SDXL_UNET]] as const) {
    const weights = Weights.of(diffusersTable(await readKeyTable(name)));
    for (const block of unetBlockTable(config)) {
      const { inputs, outputs } = unetBlockGraph(block, config, weights);
      const spatial = block.upsamples
        ? ["TH", "TW"]
        : block.inScale < block.outScale
        ? ["(floor((H-1)/2)+1)", "(floor((W-1)/2)+1)"]
        : ["H", "W"];
      const output = {
        name: "output",
        dtype: "float32",
        shape: ["B", block.outChannels, ...spatial],
      };
      assert.deepEqual(outputs, [output], `${name} ${block.id}`);
      const expected = [
        ["hidden_states", ["B", block.inChannels, "H", "W"]],
        ...(block.resnets.length > 0 ? [["temb", ["B", 1280]]] : []),
        ...(block.attention
          ? [["encoder_hidden_states", ["B", "L", config.crossAttentionDim]]]
          : []),
        ...(block.skipFrom ? [["residual", ["B", block.skipChannels, "H", "W"]]] : []),
        ...(block.upsamples ? [["target_size", [2]]] : []),
      ];
      assert.deepEqual(inputs.map(({ name, shape }) => [name, shape]), expected, block.id);
    }
  }
});

Deno.test("budget: a fused transformer block has two MultiHeadAttention and no Softmax", async () => {
  const { MultiHeadAttention, Softmax, Conv, InstanceNormalization, LayerNormalization } = opCounts(
    await sd15Block("IN01"),
  );
  assert.deepEqual([MultiHeadAttention, Softmax], [2, undefined]);
  // conv1, conv2, proj_in, proj_out; norm1, norm2 and the transformer's; three of the transformer block.
  assert.deepEqual([Conv, InstanceNormalization, LayerNormalization], [4, 3, 3]);
});

Deno.test("budget: the primitive lowering has a Softmax and two products in place of each fused attention", async () => {
  const fused = opCounts(await sd15Block("M00"));
  const primitive = opCounts(await sd15Block("M00", "primitive"));
  assert.deepEqual([primitive.MultiHeadAttention, primitive.Softmax], [undefined, 2]);
  assert.equal(primitive.MatMul, (fused.MatMul ?? 0) + 4);
  assert.deepEqual(
    opCounts(await sd15Block("IN10", "primitive")),
    opCounts(await sd15Block("IN10")),
  );
});

Deno.test("budget: SDXL's deepest block has ten transformer blocks", async () => {
  const weights = Weights.of(diffusersTable(await readKeyTable("sdxl_unet")));
  const block = unetBlockTable(SDXL_UNET).find(({ id }) => id === "OUT00")!;
  const graph = unetBlockGraph(block, SDXL_UNET, weights);
  assert.equal(opCounts(graph).MultiHeadAttention, 20);
  const attention = graph.nodes.find(({ op }) => op === "MultiHeadAttention");
  assert.deepEqual(attention?.attributes, { num_heads: { int: 20 } });
});

Deno.test("budget: no weight is copied into a graph, and none is reshaped while it runs", async () => {
  const weights = Weights.of(diffusersTable(await readKeyTable("sd15_unet")));
  const vaeWeights = Weights.of(diffusersTable(await readKeyTable("kl_f8_vae")));
  const graphs = [
    ...unetBlockTable(SD15_UNET).map((block) => unetBlockGraph(block, SD15_UNET, weights)),
    vaeDecoderGraph(SD15_VAE, vaeWeights),
  ];
  for (const { name, initializers, nodes } of graphs) {
    const external = new Set<string>();
    for (const initializer of initializers) {
      if ("external" in initializer) external.add(initializer.name);
      // Shapes, scales, and the ones and zeros of a group norm.
      else assert.ok(elementCount(initializer.shape) <= 32, `${name}: ${initializer.name}`);
    }
    const moved = nodes.filter(({ op, inputs }) =>
      external.has(inputs[0]!) && ["Reshape", "Slice", "Concat", "Gather"].includes(op)
    );
    assert.deepEqual(moved, [], name);
  }
});

Deno.test("f16 weights are widened by a Cast each, f32 ones by none", async () => {
  const rows = await readKeyTable("sd15_unet");
  const block = unetBlockTable(SD15_UNET).find(({ id }) => id === "IN00")!;
  const of = (dtype: "float16" | "float32" | "bfloat16") =>
    unetBlockGraph(block, SD15_UNET, Weights.of(diffusersTable(rows, dtype)));
  assert.deepEqual(opCounts(of("float32")), { Conv: 1, Identity: 1 });
  assert.deepEqual(opCounts(of("float16")), { Cast: 2, Conv: 1, Identity: 1 });
  assert.deepEqual(opCounts(of("bfloat16")), { Cast: 2, Conv: 1, Identity: 1 });
});
