import assert from "node:assert/strict";
import { openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { blockInputs } from "../../../shared/engine/block_inputs.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import { sizeAtScale } from "../../../shared/models/blocks.ts";
import { timeEmbedDim, unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import {
  timeEmbeddingGraph,
  timestepEmbedding,
} from "../../../shared/models/unet/time_embedding.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { assertClose, Golden, goldenPath } from "../../support/goldens.ts";

/** `[text_embeds, sinusoids of the six sizes]` row by row, f32 `[B, inputDim]`. */
function addedConditioning(
  textEmbeds: F32Tensor,
  timeIds: readonly number[],
  width: number,
): F32Tensor {
  const [rows = 0, textWidth = 0] = textEmbeds.shape;
  const sizes = timestepEmbedding(timeIds, width, { flipSinToCos: true, freqShift: 0 });
  const perRow = timeIds.length / rows * width;
  const result = f32([rows, textWidth + perRow]);
  for (let row = 0; row < rows; row++) {
    const start = row * (textWidth + perRow);
    result.data.set(textEmbeds.data.subarray(row * textWidth, (row + 1) * textWidth), start);
    result.data.set(sizes.data.subarray(row * perRow, (row + 1) * perRow), start + textWidth);
  }
  return result;
}

Deno.test("SDXL's U-Net: time embedding with added conditioning, and all 19 blocks", async () => {
  const { config, weights: table } = await openUNetFolder(goldenPath("sdxl", "unet"));
  const golden = await Golden.read("sdxl", "expected", "unet.safetensors");
  const weights = Weights.of(table);
  const blocks = unetBlockTable(config);
  const graphs = [
    timeEmbeddingGraph(config, weights),
    ...blocks.map((block) => unetBlockGraph(block, config, weights)),
  ];
  weights.check("the U-Net");
  await using runner = new GraphRunner(graphs, { device: "cpu", threads: 1, lanes: 1 });

  const x = golden.f32("x");
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const [timestep = 0] = golden.numbers("timestep");
  const time_proj = timestepEmbedding(
    new Array(batch).fill(timestep),
    config.blockOutChannels[0]!,
    config,
  );
  const added_cond = addedConditioning(
    golden.f32("text_embeds"),
    golden.numbers("time_ids"),
    config.addition!.timeEmbedDim,
  );
  const type = { dtype: "float32", shape: [batch, timeEmbedDim(config)] } as const;
  const embedded = await runner.run("time_embedding", { time_proj, added_cond }, { temb: type });
  const temb = embedded.outputs.temb as F32Tensor;
  assertClose("temb", temb, golden.f32("temb"));

  const outputs = new Map<string, F32Tensor>();
  let hiddenStates = x;
  for (const block of blocks) {
    const residual = block.skipFrom && outputs.get(block.skipFrom);
    const { inputs, outputShape: shape } = blockInputs(
      block,
      { timeEmbedDim: timeEmbedDim(config), crossAttentionDim: config.crossAttentionDim },
      {
        block: block.id,
        hiddenStates,
        temb,
        encoderHiddenStates: golden.f32("ctx"),
        ...(residual && { residual }),
        targetSize: [sizeAtScale(height, block.outScale), sizeAtScale(width, block.outScale)],
      },
    );
    const result = await runner.run(block.id, inputs, { output: { dtype: "float32", shape } });
    hiddenStates = result.outputs.output as F32Tensor;
    outputs.set(block.id, hiddenStates);
    assertClose(block.id, hiddenStates, golden.f32(`block.${block.id}`));
  }
  assert.equal(outputs.size, 19);
  assertClose("eps", hiddenStates, golden.f32("eps"));
});
