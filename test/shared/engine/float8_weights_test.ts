/** Weights in 8-bit floats, with scales and without: the model is that of their values in f32. */

import assert from "node:assert/strict";
import { emptyPrompt } from "../../../coordinator/bench/random_inputs.ts";
import { FileModel } from "../../../shared/merging/model.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { type Float8DType, float8ToFloat16 } from "../../../shared/tensor/float8.ts";
import { float16ToFloat32 } from "../../../shared/tensor/half.ts";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { f32, makeTensor, type Tensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { readAll } from "../checkpoint/rewrite.ts";

Deno.test("8-bit floats have the values of their tables, to the last code", () => {
  const codes = Uint8Array.of(0x00, 0x01, 0x07, 0x08, 0x38, 0x3f, 0x7e, 0x7f, 0x80, 0xb8, 0xfe);
  const e4m3fn = float16ToFloat32(float8ToFloat16("float8_e4m3fn", codes));
  assert.deepEqual(
    [...e4m3fn],
    [0, 2 ** -9, 7 * 2 ** -9, 2 ** -6, 1, 1.875, 448, NaN, -0, -1, -448],
  );
  const wide = Uint8Array.of(0x00, 0x01, 0x03, 0x04, 0x3c, 0x7b, 0x7c, 0x7d, 0xbc, 0xfc);
  const e5m2 = float16ToFloat32(float8ToFloat16("float8_e5m2", wide));
  assert.deepEqual(
    [...e5m2],
    [0, 2 ** -16, 3 * 2 ** -16, 2 ** -14, 1, 57344, Infinity, NaN, -1, -Infinity],
  );
});

/** Random codes that are numbers between -2 and 2. */
function randomFloat8(dtype: Float8DType, shape: readonly number[], seed: number): Tensor {
  const random = new Mt19937(seed);
  const bytes = Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    const word = random.random32();
    return (word & 0x80) | (word >>> 8) % 0x40;
  });
  return makeTensor(dtype, shape, bytes);
}

async function results(model: string, configFrom: string) {
  const expert = await openLocalExpert({ model, configFrom, device: "cpu", lanes: 1, threads: 1 });
  try {
    const { lastHiddenState } = await expert.encodeText(
      emptyPrompt(expert.description.texts[0]!, 1),
    );
    return { lastHiddenState, temb: await expert.embedTimesteps([500]) };
  } finally {
    await expert.close();
  }
}

Deno.test("a model in 8-bit floats is the model of those values in f32, bit for bit", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sd15", { scale: 0.03, depth: 1 }));
  const [plain, config] = [temp.join("plain.safetensors"), temp.join("config")];
  await writeRandomCheckpoint({
    ...{ path: plain, family: "sd15", layout: "single", parts, dtype: "float32", seed: 1n },
  });
  await writeConfigs(config, parts);
  const tensors = await readAll(plain);
  const SCALES: Readonly<Record<string, (rows: number) => Record<string, Tensor>>> = {
    none: () => ({}),
    "one number": () => ({ weight_scale: f32([], [0.0371]), input_scale: f32([], [3]) }),
    "one number, other name": () => ({ scale_weight: f32([1], [0.0371]), scale_input: f32([]) }),
    "one per row": (rows) => ({
      weight_scale: f32([rows, 1], Array.from({ length: rows }, (_, i) => 0.01 + i / 1000)),
    }),
  };
  for (const dtype of ["float8_e4m3fn", "float8_e5m2"] as const) {
    for (const [kind, scalesOf] of Object.entries(SCALES)) {
      const stored: Record<string, Tensor> = { ...tensors };
      const values: Record<string, Tensor> = { ...tensors };
      Object.entries(tensors).forEach(([key, { shape }], i) => {
        if (shape.length !== 2 || !key.endsWith(".weight")) return;
        const [rows = 1] = shape;
        const weight = randomFloat8(dtype, shape, i);
        const scales = scalesOf(rows);
        for (const [name, scale] of Object.entries(scales)) {
          stored[`${key.slice(0, -"weight".length)}${name}`] = scale;
        }
        const scale = (scales.weight_scale ?? scales.scale_weight)?.data as Float32Array ?? [1];
        stored[key] = weight;
        const width = weight.data.length / rows;
        const product = Float32Array.from(
          toFloat32(weight).data,
          (value, at) => value * scale[scale.length === 1 ? 0 : Math.floor(at / width)]!,
        );
        values[key] = f32(shape, product);
      });
      stored["model.diffusion_model.scaled_fp8"] = makeTensor(dtype, [2], new Uint8Array(2));
      const [a, b] = [temp.join("stored.safetensors"), temp.join("values.safetensors")];
      await writeSafetensors(a, stored);
      await writeSafetensors(b, values);
      assert.deepEqual(await results(a, config), await results(b, config), `${dtype}, ${kind}`);
    }
  }
});

Deno.test("a scale that does not belong to its weight is refused", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sd15", { scale: 0.03, depth: 1 }));
  const [plain, path, config] = ["a.safetensors", "b.safetensors", "c"].map((n) => temp.join(n));
  await writeRandomCheckpoint({
    ...{ path: plain!, family: "sd15", layout: "single", parts, dtype: "float16", seed: 1n },
  });
  await writeConfigs(config!, parts);
  const tensors = await readAll(plain!);
  const layer = "model.diffusion_model.time_embed.0.";
  await writeSafetensors(path!, { ...tensors, [`${layer}weight_scale`]: f32([3]) });
  await assert.rejects(openCheckpoint(path!, { configFrom: config! }), {
    name: "FormatError",
    message: /linear_1\.weight_scale" must be one number or one per row of \[\d+,\d+\]: .*\[3\]/,
  });
  await assert.rejects(FileModel.open(path!), /must not have scales to be merged/);
});

Deno.test("merging reads 8-bit floats as f16, in which they are exact", async () => {
  await using temp = await tempFolder();
  const path = temp.join("a.safetensors");
  const key = "model.diffusion_model.output_blocks.11.0.skip_connection.weight";
  const weight = randomFloat8("float8_e4m3fn", [3, 5], 1);
  await writeSafetensors(path, { [key]: weight });
  using model = await FileModel.open(path);
  assert.equal(model.tensors.get(key)!.dtype, "float16");
  const values = [...model.tensor(key).pieces()].flatMap((piece) => [...piece]);
  assert.deepEqual(values, [...toFloat32(weight).data]);
});
