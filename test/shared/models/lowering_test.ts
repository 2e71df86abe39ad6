import assert from "node:assert/strict";
import { openUNetFolder, openVaeFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import { Lane } from "../../../shared/lane/lane.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../shared/models/config/sabw_config.ts";
import type { Lowering } from "../../../shared/models/layers/attention.ts";
import { sabwGraph } from "../../../shared/models/sabw.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { vaeDecoderGraph, vaeEncoderGraph } from "../../../shared/models/vae.ts";
import { Weights } from "../../../shared/models/weights.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { type F32Tensor, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { assertClose, goldenPath } from "../../support/goldens.ts";
import { runOn } from "../onnx/run_graph.ts";

const SIZES: Readonly<Record<string, number>> = { B: 2, H: 6, W: 5, L: 9 };

/** What the graph asks for, in its own widths. */
function inputsFor({ inputs }: Graph, sizes: typeof SIZES): Record<string, Tensor> {
  return Object.fromEntries(inputs.map(({ name, dtype, shape }, seed) => {
    if (dtype === "int64") return [name, i64([2], [12, 10])];
    const bound = shape.map((dim) => typeof dim === "number" ? dim : sizes[dim]!);
    return [name, randomTensor(bound, seed + 1)];
  }));
}

/** Both lowerings of one graph give the same numbers, and are not the same graph. */
async function assertLoweringsEqual(
  build: (lowering: Lowering) => Graph,
  sizes = SIZES,
): Promise<void> {
  const lowerings = [build("fused"), build("primitive")] as const;
  const has = (graph: Graph, op: string) => graph.nodes.some((node) => node.op === op);
  assert.deepEqual(lowerings.map((graph) => has(graph, "MultiHeadAttention")), [true, false]);
  const results = [];
  for (const graph of lowerings) {
    await using lane = new Lane({ device: "cpu", threads: 1 });
    results.push(await runOn(lane, graph, inputsFor(graph, sizes), { TH: 12, TW: 10 }));
  }
  const [fused, primitive] = results;
  for (const name of Object.keys(primitive!)) {
    const [a, b] = [fused![name], primitive![name]] as F32Tensor[];
    assertClose(`${lowerings[0].name} ${name}`, a!, b!, 1e-5);
  }
}

Deno.test("fused attention equals the primitive lowering: U-Net blocks of SD1.5 and SDXL", async () => {
  for (
    const [folder, ids] of [
      [goldenPath("sd15", "expert-a", "unet"), ["IN01", "M00", "OUT05", "OUT11"]],
      [goldenPath("sdxl", "unet"), ["IN07", "OUT05"]],
    ] as const
  ) {
    const { config, weights: table } = await openUNetFolder(folder);
    for (const id of ids) {
      const block = unetBlockTable(config).find((candidate) => candidate.id === id)!;
      await assertLoweringsEqual((lowering) =>
        unetBlockGraph(block, config, Weights.of(table), lowering)
      );
    }
  }
});

Deno.test("fused attention equals the primitive lowering: SABW", async () => {
  const folder = goldenPath("sd15", "sabw", "aggregator_7");
  const config = parseSabwConfig(await ConfigFields.read(`${folder}/config.json`));
  const table = await readWeightTable(`${folder}/aggregator.safetensors`);
  await assertLoweringsEqual((lowering) => sabwGraph("sabw", config, Weights.of(table), lowering));
});

Deno.test("fused attention equals the primitive lowering: the VAE's single head", async () => {
  const { config, weights } = await openVaeFolder(goldenPath("sd15", "vae"));
  await assertLoweringsEqual((lowering) => vaeDecoderGraph(config, Weights.of(weights), lowering));
  // 20 pixels are no multiple of 8: the size is floored at each of the three levels.
  await assertLoweringsEqual(
    (lowering) => vaeEncoderGraph(config, Weights.of(weights), lowering),
    { B: 2, H: 24, W: 20 },
  );
});
