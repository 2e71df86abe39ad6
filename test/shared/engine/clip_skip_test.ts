import assert from "node:assert/strict";
import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import type { TextEncoding } from "../../../shared/engine/expert.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import { textEncoder } from "../../../shared/engine/text_encoders.ts";
import type { ClipTextConfig } from "../../../shared/models/config/clip_config.ts";
import { textParameters } from "../../../shared/models/parameters.ts";
import type { WeightTable } from "../../../shared/models/weights.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { goldenExpert, openGoldenExpert } from "../../support/golden_expert.ts";
import { assertClose, assertFar, Golden } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const CONFIG: ClipTextConfig = {
  vocabSize: 12,
  hiddenSize: 8,
  intermediateSize: 16,
  numLayers: 4,
  numHeads: 2,
  maxLength: 5,
  activation: "quick_gelu",
  layerNormEps: 1e-5,
  bosTokenId: 10,
  eosTokenId: 11,
  padTokenId: 11,
};
const IDS = i64([2, 5], [10, 1, 2, 3, 11, 10, 4, 11, 11, 11]);

/** Layer norm by its definition, over the last axis. */
function layerNorm(x: F32Tensor, scale: F32Tensor, shift: F32Tensor, epsilon: number): F32Tensor {
  const width = x.shape.at(-1)!;
  const result = f32(x.shape);
  for (let start = 0; start < x.data.length; start += width) {
    const row = [...x.data.subarray(start, start + width)];
    const mean = row.reduce((sum, value) => sum + value, 0) / width;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    row.forEach((value, i) => {
      const normed = (value - mean) / Math.sqrt(variance + epsilon);
      result.data[start + i] = normed * scale.data[i]! + shift.data[i]!;
    });
  }
  return result;
}

/** The bits that must agree. */
function assertSameBits(a: F32Tensor, b: F32Tensor, name: string) {
  assert.deepEqual(a.shape, b.shape, name);
  assert.ok(bitEqual(a.data, b.data), name);
}

async function encode(
  config: ClipTextConfig,
  weights: WeightTable,
  clipSkip: number,
): Promise<TextEncoding> {
  const encoder = textEncoder({ config, weights }, 0, { model: "test", isLast: true });
  await using runner = new GraphRunner(encoder.graphs, { device: "cpu", threads: 1, lanes: 1 });
  return await encoder.encode(runner, IDS, clipSkip);
}

async function randomTable(path: string): Promise<WeightTable> {
  let seed = 0;
  const tensors = [...textParameters(CONFIG, false)].map(([key, shape]) =>
    [key, randomTensor(shape, ++seed)] as const
  );
  await writeSafetensors(path, Object.fromEntries(tensors));
  return await readWeightTable(path);
}

Deno.test("clipSkip N is what the encoder without its last N - 1 layers gives", async () => {
  await using folder = await tempFolder();
  const table = await randomTable(folder.join("model.safetensors"));
  const whole = await encode(CONFIG, table, 1);
  const states: F32Tensor[] = [whole.lastHiddenState];
  for (const clipSkip of [2, 3, 4]) {
    const skipped = await encode(CONFIG, table, clipSkip);
    const numLayers = CONFIG.numLayers - clipSkip + 1;
    const layerOf = (key: string) => Number(/layers\.(\d+)\./.exec(key)?.[1] ?? 0);
    const rest = new Map([...table].filter(([key]) => layerOf(key) < numLayers));
    const shorter = await encode({ ...CONFIG, numLayers }, rest, 1);
    assertClose(`skip ${clipSkip}`, skipped.lastHiddenState, shorter.lastHiddenState, 1e-6);
    for (const other of states) assertFar(`skip ${clipSkip}`, skipped.lastHiddenState, other);
    states.push(skipped.lastHiddenState);
    // What depends on the whole encoder stays.
    assertSameBits(skipped.pooled, whole.pooled, "pooled");
    assertSameBits(
      skipped.penultimateHiddenState,
      whole.penultimateHiddenState,
      "penultimate hidden state",
    );
  }
});

Deno.test("of the shorter encoders one stays, also where several are asked for at a time", async () => {
  await using folder = await tempFolder();
  const weights = await randomTable(folder.join("model.safetensors"));
  const encoder = textEncoder({ config: CONFIG, weights }, 0, { model: "test", isLast: true });
  await using runner = new GraphRunner(encoder.graphs, { device: "cpu", threads: 1, lanes: 2 });
  const alone = new Map<number, F32Tensor>();
  for (const clipSkip of [3, 4]) {
    alone.set(clipSkip, (await encoder.encode(runner, IDS, clipSkip)).lastHiddenState);
    const short = [...runner.loadedGraphs].filter((name) => name.includes("_skip_"));
    assert.deepEqual(short, [`text_encoder_skip_${clipSkip}`]);
  }
  await Promise.all([3, 4, 3, 4, 4, 3].map(async (clipSkip) => {
    const { lastHiddenState } = await encoder.encode(runner, IDS, clipSkip);
    assertSameBits(lastHiddenState, alone.get(clipSkip)!, `skip ${clipSkip}`);
  }));
});

Deno.test("clipSkip 2 is the final layer norm over the reference's penultimate state", async () => {
  const golden = await Golden.read("sd15", "expected", "text.safetensors");
  const file = await SafetensorsFile.open(`${goldenExpert("a")}/text_encoder/model.safetensors`);
  const prefix = "text_model.final_layer_norm";
  const [scale, shift] = await Promise.all(
    ["weight", "bias"].map((name) => file.read(`${prefix}.${name}`) as Promise<F32Tensor>),
  );
  const expected = layerNorm(golden.f32("penultimate.a"), scale!, shift!, 1e-5);
  const expert = await openGoldenExpert("a");
  try {
    const inputIds = golden.tensor("input_ids") as Tensor<"int64">;
    const { lastHiddenState } = await expert.encodeText(inputIds, { clipSkip: 2 });
    assertClose("last hidden state", lastHiddenState, expected);
    // Asking for an earlier layer once changes nothing for those who do not.
    const usual = await expert.encodeText(inputIds, { clipSkip: 1 });
    assertClose("without", usual.lastHiddenState, golden.f32("last_hidden_state.a"));
    assertSameBits(
      (await expert.encodeText(inputIds)).lastHiddenState,
      usual.lastHiddenState,
      "default",
    );
  } finally {
    await expert.close();
  }
});

Deno.test("encodeText() refuses a clipSkip beyond the layers, and an encoder that is not there", async () => {
  const expert = await openGoldenExpert("a");
  try {
    const ids = i64([1, 16], [298, ...new Array(15).fill(299)]);
    for (const clipSkip of [0, 3, -1, 1.5, NaN]) {
      await assert.rejects(expert.encodeText(ids, { clipSkip }), {
        code: "INVALID_ARGUMENT",
        message:
          `clip_skip must be a whole number in 1..2, the text encoder's layers: current value is ${clipSkip}`,
      });
    }
    await assert.rejects(expert.encodeText(ids, { encoder: 1 }), {
      code: "FAILED_PRECONDITION",
      message: 'Expert "expert-a" must have a text encoder of index 1: it has 1',
    });
  } finally {
    await expert.close();
  }
});
