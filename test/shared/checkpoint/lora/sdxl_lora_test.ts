import assert from "node:assert/strict";
import { openLocalExpert } from "../../../../shared/engine/local_expert.ts";
import { FormatError } from "../../../../shared/errors.ts";
import { emptyPrompt, randomInputs } from "../../../../coordinator/bench/random_inputs.ts";
import { modelConfigs } from "../../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../../coordinator/zoo/model_parts.ts";
import {
  writeConfigs,
  writeRandomCheckpoint,
} from "../../../../coordinator/zoo/random_checkpoint.ts";
import type { F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { assertClose, assertFar } from "../../../support/goldens.ts";
import { kohyaTensors, randomLayer, writeLora, writeMerged } from "../../../support/lora_files.ts";
import { type TempFolder, tempFolder } from "../../../support/temp_folder.ts";

const WEIGHT = 0.6;
const TOLERANCE = 1e-5;

/** A layer of every kind that SDXL has beside SD1.5's: deep attentions, size conditioning, the second encoder. */
const LAYERS = {
  unet: [
    "add_embedding.linear_1",
    "down_blocks.2.attentions.0.proj_in",
    "down_blocks.2.attentions.0.transformer_blocks.1.attn2.to_k",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "up_blocks.0.resnets.0.conv1",
  ],
  text_encoder: ["text_model.encoder.layers.0.mlp.fc1"],
  text_encoder_2: ["text_model.encoder.layers.0.self_attn.q_proj", "text_projection"],
} as const;

/** The same random weights as a single file (OpenCLIP's names and layout) and as a folder. */
async function writeModels(temp: TempFolder) {
  const configs = modelConfigs("sdxl", { scale: 0.03, depth: 2 });
  const parts = modelParts(configs);
  const [single, folder, configFrom] = ["a.safetensors", "b", "config"].map((n) => temp.join(n));
  const common = { family: "sdxl", parts, dtype: "float32", seed: 5n } as const;
  await writeRandomCheckpoint({ ...common, path: single!, layout: "single" });
  await writeRandomCheckpoint({ ...common, path: folder!, layout: "diffusers" });
  await writeConfigs(configFrom!, parts);
  return { single: single!, folder: folder!, configFrom: configFrom! };
}

type Results = Record<"text" | "text2" | "pooled" | "noise", F32Tensor>;

/** Both encoders' states, and one whole U-Net call. */
async function results(model: string, lora?: string, configFrom?: string): Promise<Results> {
  const expert = await openLocalExpert({
    ...{ model, device: "cpu", lanes: 1, threads: 1 },
    ...(lora !== undefined && { loras: [{ path: lora, weight: WEIGHT }] }),
    ...(configFrom !== undefined && { configFrom }),
  });
  try {
    const { texts, blocks } = expert.description;
    const text = await expert.encodeText(emptyPrompt(texts[0]!, 1));
    const text2 = await expert.encodeText(emptyPrompt(texts[1]!, 1), { encoder: 1 });
    const { session: config, latents } = randomInputs(expert.description, {
      ...{ width: 64, height: 64, batch: 1 },
    });
    const session = await expert.openSession(config);
    const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
    const { hiddenStates: noise } = await session.forward({ ...range, hiddenStates: latents });
    await session.close();
    return {
      text: text.penultimateHiddenState,
      text2: text2.lastHiddenState,
      pooled: text2.pooled,
      noise,
    };
  } finally {
    await expert.close();
  }
}

Deno.test("An SDXL LoRA gives what a checkpoint gives that was merged in f64, in a single file and in a folder", async () => {
  await using temp = await tempFolder();
  const { single, folder, configFrom } = await writeModels(temp);
  const parts = Object.keys(LAYERS) as (keyof typeof LAYERS)[];
  const layers = await Promise.all(
    parts.flatMap((part) =>
      LAYERS[part].map((path, seed) => randomLayer(folder, part, path, { rank: 3, alpha: 2, seed }))
    ),
  );
  const lora = await writeLora(temp.join("lora.safetensors"), kohyaTensors(layers));
  const merged = await writeMerged(
    folder,
    temp.join("merged"),
    layers.map((layer) => ({ ...layer, weight: WEIGHT })),
  );
  const [truth, plain] = [await results(merged), await results(folder)];
  const ours = {
    folder: await results(folder, lora),
    single: await results(single, lora, configFrom),
  };
  for (const name of ["text", "text2", "pooled", "noise"] as const) {
    assertClose(`folder ${name}`, ours.folder[name], truth[name], TOLERANCE);
    assertClose(`single ${name}`, ours.single[name], truth[name], TOLERANCE);
    assertFar(name, ours.folder[name], plain[name]);
  }
});

Deno.test("A LoRA of text_projection alone changes the pooled state alone, and must have its shape", async () => {
  await using temp = await tempFolder();
  const { single, folder, configFrom } = await writeModels(temp);
  const layer = await randomLayer(folder, "text_encoder_2", "text_projection");
  const lora = await writeLora(temp.join("lora.safetensors"), kohyaTensors([layer]));
  const [ours, plain] = [
    await results(single, lora, configFrom),
    await results(single, undefined, configFrom),
  ];
  assert.deepEqual(ours.text2.data, plain.text2.data);
  assertFar("pooled", ours.pooled, plain.pooled);
  const { up } = await randomLayer(folder, "text_encoder_2", "text_model.encoder.layers.0.mlp.fc1");
  const wrong = await writeLora(temp.join("wrong.safetensors"), kohyaTensors([{ ...layer, up }]));
  await assert.rejects(
    results(single, wrong, configFrom),
    (error) => error instanceof FormatError && /mis-shaped.*text_projection/.test(error.message),
  );
});
