import assert from "node:assert/strict";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { encodePrompts } from "../../../coordinator/sampling/prompt_embeds.ts";
import { ddim, methodOf } from "./small_run.ts";
import { sample, type SampleRequest } from "../../../coordinator/sampling/sample.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import { type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";

const EOS = 49407;
const ids = (...words: number[]) => [49406, ...words, ...new Array(76 - words.length).fill(EOS)];
const CAT = ids(320, 2368);
const DOG = ids(320, 1929);
const EMPTY = ids();

/** Two small SDXL models with random weights: one a single file, one a folder. */
async function writeModels(temp: TempFolder) {
  const parts = modelParts(modelConfigs("sdxl", { scale: 0.03, depth: 2 }));
  const [file, folder, configFrom] = ["a.safetensors", "b", "config"].map((n) => temp.join(n));
  const common = { family: "sdxl", parts, dtype: "float32" } as const;
  await writeRandomCheckpoint({ ...common, path: file!, layout: "single", seed: 5n });
  await writeRandomCheckpoint({ ...common, path: folder!, layout: "diffusers", seed: 6n });
  await writeConfigs(configFrom!, parts);
  return { file: file!, folder: folder!, configFrom: configFrom! };
}

const open = (model: string, configFrom?: string) =>
  openLocalExpert({
    model,
    device: "cpu",
    lanes: 1,
    threads: 1,
    ...(configFrom && { configFrom }),
  });

async function lastLatents(
  experts: readonly Expert[],
  changes: Partial<SampleRequest> = {},
): Promise<F32Tensor> {
  const run = sample({
    experts,
    method: methodOf(experts),
    sampler: ddim(2),
    guidanceScale: 5,
    initialLatents: randomTensor([1, 4, 8, 8], 3),
    promptIds: [CAT],
    negativePromptIds: [EMPTY],
    imageSize: { height: 64, width: 64 },
    ...changes,
  });
  let latents: F32Tensor | undefined;
  for await (const step of run) latents = step.latents;
  return latents!;
}

Deno.test("SDXL samples from two experts, remote as local to the bit; sizes, texts and empty prompts count", async () => {
  await using temp = await tempFolder();
  const { file, folder, configFrom } = await writeModels(temp);
  const [a, b] = [await open(file, configFrom), await open(folder)];
  const local = await lastLatents([a, b]);
  const waves = await lastLatents([a, b], { waves: 2 });
  assert.ok(difference(waves.data, local.data).relativeL2 < 1e-6, "waves follow their rows");
  {
    await using worker = await startWorkerServer({ expert: a, listen: "127.0.0.1:0" });
    const remote = await connectExpert(worker.address);
    assert.deepEqual(remote.description, a.description);
    const mixed = await lastLatents([remote, b]);
    assert.ok(bitEqual(mixed.data, local.data), "remote differs from local");
    await remote.close();
  }
  const differs: [string, Partial<SampleRequest>][] = [
    ["another image size", { imageSize: { height: 128, width: 64 } }],
    ["another prompt", { promptIds: [DOG] }],
    ["zeros for a negative prompt that is not given", { isNegativeGiven: false }],
  ];
  for (const [name, change] of differs) {
    const { relativeL2 } = difference((await lastLatents([a, b], change)).data, local.data);
    assert.ok(relativeL2 > 1e-6 && Number.isFinite(relativeL2), `${name}: ${relativeL2}`);
  }
  const single = await lastLatents([a]);
  const twice = await lastLatents([a, a]);
  assert.ok(difference(twice.data, single.data).relativeL2 < 1e-6);
  const [one, two] = [await lastLatents([a]), await lastLatents([a], { clipSkip: 2 })];
  assert.ok(bitEqual(two.data, one.data), "SDXL's own layer is the last but one");
  await assert.rejects(lastLatents([a], { clipSkip: 3 }), /--clip-skip must be 1 or 2 for SDXL/);
  await a.close();
  await b.close();
});

Deno.test("SDXL's text states are both encoders' side by side, pooled from the second; rows become zeros on demand", async () => {
  await using temp = await tempFolder();
  const { folder } = await writeModels(temp);
  const expert = await open(folder);
  const { promptEmbeds, pooledPromptEmbeds } = await encodePrompts(expert, [CAT, EMPTY], {
    clipSkip: 1,
    zeroRows: [false, true],
  });
  const { texts, crossAttentionDim, pooledPromptDim } = expert.description;
  assert.deepEqual(promptEmbeds.shape, [2, 77, crossAttentionDim]);
  assert.deepEqual(pooledPromptEmbeds!.shape, [2, pooledPromptDim]);
  assert.equal(texts[0]!.hiddenSize + texts[1]!.hiddenSize, crossAttentionDim);
  assert.ok(sliceRows(promptEmbeds, 1, 2).data.every((v) => v === 0));
  assert.ok(sliceRows(pooledPromptEmbeds!, 1, 2).data.every((v) => v === 0));
  assert.ok(sliceRows(promptEmbeds, 0, 1).data.some((v) => v !== 0));
  await expert.close();
});
