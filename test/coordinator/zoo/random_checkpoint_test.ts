import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import {
  type RandomCheckpointOptions,
  weightBytes,
  writeConfigs,
  writeRandomCheckpoint,
} from "../../../coordinator/zoo/random_checkpoint.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { type Family, FAMILY_IDS } from "../../../shared/models/families.ts";
import type { WeightTable } from "../../../shared/models/weights.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { bytesByKey } from "../../shared/checkpoint/rewrite.ts";

/** Small enough to write in a moment; the vocabulary is the largest part. */
const SIZE = { scale: 0.03, depth: 2 };

function options(
  family: Family,
  path: string,
  rest: Partial<RandomCheckpointOptions> = {},
): RandomCheckpointOptions {
  const parts = modelParts(modelConfigs(family, SIZE));
  return { family, parts, path, layout: "single", dtype: "float16", seed: 5n, ...rest };
}

/** One model in both layouts. */
async function writeBoth(family: Family, temp: TempFolder) {
  const [file, folder, configFrom] = ["m.safetensors", "m", "m.config"].map((n) => temp.join(n));
  await writeRandomCheckpoint(options(family, file!));
  await writeRandomCheckpoint(options(family, folder!, { layout: "diffusers" }));
  await writeConfigs(configFrom!, options(family, "").parts);
  return { file: file!, folder: folder!, configFrom: configFrom! };
}

async function assertSameBytes(actual: WeightTable, expected: WeightTable): Promise<void> {
  const [a, b] = [await bytesByKey(actual), await bytesByKey(expected)];
  assert.deepEqual([...a.keys()], [...b.keys()]);
  for (const [key, bytes] of b) assert.ok(bitEqual(a.get(key)!, bytes), key);
}

for (const family of FAMILY_IDS) {
  Deno.test(`random ${family}: both layouts open as one model with the same values`, async () => {
    await using temp = await tempFolder();
    const { file, folder, configFrom } = await writeBoth(family, temp);
    const [single, diffusers] = [
      await openCheckpoint(file, { configFrom }),
      await openCheckpoint(folder),
    ];
    assert.deepEqual([single.family, diffusers.family], [family, family]);
    assert.deepEqual(single.unet.config, diffusers.unet.config);
    await assertSameBytes(single.unet.weights, diffusers.unet.weights);
    await assertSameBytes(single.text!.weights, diffusers.text!.weights);
    const vaes = [await openVae(file, `${configFrom}/vae`), await openVae(folder)] as const;
    await assertSameBytes(vaes[0].weights, vaes[1].weights);
    if (family === "sdxl") {
      const [openClip, transformers] = [single, diffusers].map(({ text2 }) =>
        new Map(text2!.weights)
      );
      // The one tensor whose bytes differ: each layout stores the other's transpose.
      assert.ok(openClip!.delete("text_projection"));
      assert.ok(transformers!.delete("text_projection.weight"));
      await assertSameBytes(openClip!, transformers!);
    }
  });

  Deno.test(`random ${family}: every block's output is finite and of ordinary size`, async () => {
    await using temp = await tempFolder();
    const path = temp.join("m");
    await writeRandomCheckpoint(options(family, path, { layout: "diffusers", dtype: "bfloat16" }));
    const expert = await openLocalExpert({ model: path, device: "cpu", lanes: 1, threads: 1 });
    try {
      const { blocks, crossAttentionDim, timeEmbedDim } = expert.description;
      const skips = new Map<string, F32Tensor>();
      let hiddenStates = randomTensor([1, 4, 8, 8], 1);
      for (const { id, skipFrom } of blocks) {
        ({ hiddenStates } = await expert.forwardBlock({
          block: id,
          hiddenStates,
          temb: randomTensor([1, timeEmbedDim], 2),
          encoderHiddenStates: randomTensor([1, 4, crossAttentionDim], 3),
          ...(skipFrom !== undefined && { residual: skips.get(skipFrom)! }),
        }));
        skips.set(id, hiddenStates);
        const { data } = hiddenStates;
        const size = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
        assert.ok(size > 0.05 && size < 50, `${id}: ${size}`);
      }
    } finally {
      await expert.close();
    }
  });
}

Deno.test("writeRandomCheckpoint() writes the bytes that it announces, and tells how far it is", async () => {
  await using temp = await tempFolder();
  const path = temp.join("m.safetensors");
  const told: number[] = [];
  const settings = options("sd15", path, { onProgress: (written) => told.push(written) });
  await writeRandomCheckpoint(settings);
  const file = await SafetensorsFile.open(path);
  const total = [...file.entries.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
  assert.equal(weightBytes(settings.parts, "float16"), total);
  assert.equal(told.at(-1), total);
  assert.deepEqual(told, told.toSorted((a, b) => a - b));
});

Deno.test("writeRandomCheckpoint() writes equal files for equal seeds, others for others", async () => {
  await using temp = await tempFolder();
  const files = await Promise.all([5n, 5n, 6n].map(async (seed, i) => {
    const path = temp.join(`${i}.safetensors`);
    await writeRandomCheckpoint(options("sd15", path, { seed }));
    return await Deno.readFile(path);
  }));
  assert.ok(bitEqual(files[0]!, files[1]!));
  assert.ok(!bitEqual(files[0]!, files[2]!));
});

Deno.test("writeRandomCheckpoint() overwrites nothing", async () => {
  await using temp = await tempFolder();
  const path = temp.join("precious.safetensors");
  await Deno.writeTextFile(path, "mine");
  await assert.rejects(writeRandomCheckpoint(options("sd15", path)), {
    name: "UsageError",
    message: `"${path}" must not exist: this command overwrites nothing`,
  });
  assert.equal(await Deno.readTextFile(path), "mine");
});

Deno.test("writeRandomCheckpoint() leaves nothing behind when it is cancelled", async () => {
  await using temp = await tempFolder();
  for (const layout of ["single", "diffusers"] as const) {
    const controller = new AbortController();
    const running = writeRandomCheckpoint(options("sd15", temp.join("m"), {
      layout,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    }));
    await assert.rejects(running, { code: "CANCELLED" });
    assert.deepEqual(await readdir(temp.path), []);
  }
});

Deno.test("writeRandomCheckpoint() needs a folder that exists", async () => {
  await using temp = await tempFolder();
  await assert.rejects(writeRandomCheckpoint(options("sd15", temp.join("no", "m.safetensors"))), {
    name: "FormatError",
    message: /^Cannot write to folder ".*\/no": /,
  });
});

Deno.test("writeRandomCheckpoint() refuses a model that the disk has no room for", async () => {
  await using temp = await tempFolder();
  const unet = modelParts(modelConfigs("sd15", SIZE))[0]!;
  const huge = { ...unet, parameters: new Map([["w.weight", [2 ** 25, 2 ** 25]]]) };
  await assert.rejects(
    writeRandomCheckpoint(options("sd15", temp.join("m.safetensors"), { parts: [huge] })),
    { code: "RESOURCE_EXHAUSTED", message: /must have 2251\.8 TB free: it has [0-9.]+ [A-Z]+B$/i },
  );
  assert.deepEqual(await readdir(temp.path), []);
});
