import assert from "node:assert/strict";
import { SD15_TEXT, SD15_UNET, SD15_VAE } from "../../../shared/models/config/known_configs.ts";
import { clipTextGraph } from "../../../shared/models/clip_text.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../shared/models/config/sabw_config.ts";
import type { UNetConfig } from "../../../shared/models/config/unet_config.ts";
import { sabwGraph } from "../../../shared/models/sabw.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { timeEmbeddingGraph } from "../../../shared/models/unet/time_embedding.ts";
import { vaeDecoderGraph, vaeEncoderGraph } from "../../../shared/models/vae.ts";
import { Weights } from "../../../shared/models/weights.ts";
import type { Shape } from "../../../shared/tensor/tensor.ts";
import { diffusersTable, parameterCount, readKeyTable, weightTable } from "./key_tables.ts";
import { SDXL_UNET } from "./sdxl_config.ts";

/** Every tensor of the published model is used, none is missing, and all have the shapes that the graphs demand. */
async function unetParameters(table: string, config: UNetConfig): Promise<number> {
  const weights = Weights.of(diffusersTable(await readKeyTable(table)));
  const graphs = [
    timeEmbeddingGraph(config, weights),
    ...unetBlockTable(config).map((block) => unetBlockGraph(block, config, weights)),
  ];
  weights.check("the U-Net");
  return parameterCount(graphs);
}

Deno.test("SD1.5's U-Net: 25 blocks and the time embedding use 859,520,964 parameters", async () => {
  assert.equal(await unetParameters("sd15_unet", SD15_UNET), 859_520_964);
});

Deno.test("SDXL's U-Net: 19 blocks and the time embedding use 2,567,463,684 parameters", async () => {
  assert.equal(await unetParameters("sdxl_unet", SDXL_UNET), 2_567_463_684);
});

Deno.test("SD1.5's VAE: encoder and decoder use 83,653,863 parameters", async () => {
  const weights = Weights.of(diffusersTable(await readKeyTable("kl_f8_vae")));
  const graphs = [vaeEncoderGraph(SD15_VAE, weights), vaeDecoderGraph(SD15_VAE, weights)];
  weights.check("the VAE");
  assert.equal(parameterCount(graphs), 83_653_863);
});

Deno.test("SD1.5's text encoder uses 123,060,480 parameters", async () => {
  const weights = Weights.of(diffusersTable(await readKeyTable("clip_l_text")));
  const graph = clipTextGraph(SD15_TEXT, weights);
  weights.check("the text encoder");
  assert.equal(parameterCount([graph]), 123_060_480);
});

/** The 19 + 20 L tensors of one aggregator, as the paper's code stores them. */
function* sabwTensors(
  { experts, width: d, layers, channels }: {
    readonly experts: number;
    readonly width: number;
    readonly layers: number;
    readonly channels: number;
  },
): Generator<readonly [string, Shape]> {
  const withBias = function* (name: string, shape: Shape): Generator<readonly [string, Shape]> {
    yield [`${name}.weight`, shape];
    yield [`${name}.bias`, [shape[0]!]];
  };
  yield* withBias("conv_in", [d, experts * channels, 1, 1]);
  yield* withBias("res_block.norm1", [d]);
  yield* withBias("res_block.conv1", [d, d, 3, 3]);
  yield* withBias("res_block.time_emb_proj", [d, 1280]);
  yield* withBias("res_block.norm2", [d]);
  yield* withBias("res_block.conv2", [d, d, 3, 3]);
  yield* withBias("transformer.norm", [d]);
  yield* withBias("transformer.proj_in", [d, d, 1, 1]);
  for (let l = 0; l < layers; l++) {
    const block = `transformer.transformer_blocks.${l}`;
    for (const norm of [1, 2, 3]) yield* withBias(`${block}.norm${norm}`, [d]);
    for (const [name, context] of [["attn1", d], ["attn2", 768]] as const) {
      yield [`${block}.${name}.to_q.weight`, [d, d]];
      yield [`${block}.${name}.to_k.weight`, [d, context]];
      yield [`${block}.${name}.to_v.weight`, [d, context]];
      yield* withBias(`${block}.${name}.to_out.0`, [d, d]);
    }
    yield* withBias(`${block}.ff.net.0.proj`, [8 * d, d]);
    yield* withBias(`${block}.ff.net.2`, [d, 4 * d]);
  }
  yield* withBias("transformer.proj_out", [d, d, 1, 1]);
  yield ["conv_out.weight", [experts, d, 1, 1]];
}

Deno.test("SABW of SD1.5's 25 blocks has the parameter counts of the paper's code", () => {
  const blocks = unetBlockTable(SD15_UNET);
  for (
    const [experts, width, layers, total] of [
      [2, 128, 1, 30_082_944],
      [2, 128, 2, 42_425_344],
      [3, 128, 1, 32_790_016],
      [3, 128, 2, 45_132_416], // the paper's
      [3, 128, 3, 57_474_816],
      [3, 256, 1, 96_709_632],
      [6, 128, 2, 53_253_632],
      [7, 256, 1, 118_366_208],
    ] as const
  ) {
    const counts = blocks.map(({ outChannels: channels }) => {
      const tensors = [...sabwTensors({ experts, width, layers, channels })];
      assert.equal(tensors.length, 19 + 20 * layers);
      const config = parseSabwConfig(
        new ConfigFields({
          in_channels: channels,
          num_experts: experts,
          hidden_size: width,
          num_attn_heads: 8,
          num_layers: layers,
          cross_attn_dim: 768,
          temb_channels: 1280,
        }, "sabw/config.json"),
      );
      const weights = Weights.of(weightTable(tensors));
      const graph = sabwGraph("sabw", config, weights);
      weights.check("the aggregator");
      return parameterCount([graph]);
    });
    assert.equal(counts.length, 25);
    const sum = counts.reduce((a, b) => a + b, 0);
    assert.equal(sum, total, `N = ${experts}, d = ${width}, L = ${layers}`);
  }
});
