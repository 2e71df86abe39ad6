import assert from "node:assert/strict";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { timestepEmbedding } from "../../../shared/models/unet/time_embedding.ts";
import { unetNoise } from "../../../shared/models/unet/unet.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { type F32Tensor, repeatRows } from "../../../shared/tensor/tensor.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { goldenPath } from "../../support/goldens.ts";
import { runGraph } from "../onnx/run_graph.ts";

Deno.test("unetNoise(): the whole U-Net as one graph predicts the reference noise, on even and odd sizes", async () => {
  for (const [letter, name] of [["a", "unet"], ["b", "unet_odd_size"]] as const) {
    const { unet: { config, weights } } = await openCheckpoint(goldenExpert(letter));
    const file = await SafetensorsFile.open(goldenPath(`sd15/expected/${name}.safetensors`));
    const [latents, encoderHiddenStates, timestep, eps] = await Promise.all(
      ["x", "ctx", "timestep", "eps"].map((key) => file.read(key)),
    ) as F32Tensor[];
    const [batch] = latents!.shape;
    const g = new GraphBuilder("unet");
    const row = timestepEmbedding([Number(timestep!.data[0])], config.blockOutChannels[0]!, config);
    const inputs = {
      latents: latents!,
      timeProj: repeatRows(row, batch!),
      encoderHiddenStates: encoderHiddenStates!,
    };
    const value = (key: keyof typeof inputs) => g.input(key, "float32", inputs[key].shape);
    g.output(
      "noise",
      unetNoise(g, config, Weights.of(weights), {
        latents: value("latents"),
        timeProj: value("timeProj"),
        encoderHiddenStates: value("encoderHiddenStates"),
      }),
    );
    const { noise } = await runGraph(g.build(), inputs);
    const { relativeL2 } = difference((noise as F32Tensor).data, eps!.data);
    assert.ok(relativeL2 < 1e-5, `${name}: ${relativeL2}`);
  }
});
