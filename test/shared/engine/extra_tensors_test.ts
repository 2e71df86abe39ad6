/** Tensors that other tools add to a model: what a part does not need changes nothing and refuses nothing. */

import assert from "node:assert/strict";
import { emptyPrompt } from "../../../coordinator/bench/random_inputs.ts";
import { inspectModel } from "../../../coordinator/inspect/inspect_model.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, makeTensor, type Tensor } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { readAll } from "../checkpoint/rewrite.ts";

const FIRST = "conditioner.embedders.0.transformer.";

async function textStates(model: string, configFrom: string) {
  const expert = await openLocalExpert({ model, configFrom, device: "cpu", lanes: 1, threads: 1 });
  try {
    const { texts, fingerprint } = expert.description;
    const states = await Promise.all(
      texts.map((text, i) => expert.encodeText(emptyPrompt(text, 1), { encoder: i === 0 ? 0 : 1 })),
    );
    return { texts, states, graphHash: fingerprint.graphHash };
  } finally {
    await expert.close();
  }
}

/** Writes `F4` in place of the dtype of a tensor: same bytes, under a name that nobody knows. */
async function renameDtype(path: string, key: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 200_000));
  const at = text.indexOf('"U8"', text.indexOf(JSON.stringify(key)));
  bytes.set(new TextEncoder().encode('"F4"'), at);
  await Deno.writeFile(path, bytes);
}

Deno.test("SDXL with a projection in its first encoder, or other tensors of other tools, is SDXL without", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sdxl", { scale: 0.03, depth: 1 }));
  const [plain, config] = [temp.join("plain.safetensors"), temp.join("config")];
  const common = { family: "sdxl", layout: "single", parts, dtype: "float16", seed: 1n } as const;
  await writeRandomCheckpoint({ ...common, path: plain });
  await writeConfigs(config, parts);
  const tensors = await readAll(plain);
  const [width = 0] = tensors[`${FIRST}text_model.final_layer_norm.bias`]!.shape;
  const zeros = (shape: readonly number[]) =>
    makeTensor("float16", shape, new Uint16Array(shape.reduce((a, b) => a * b, 1)));
  const expected = await textStates(plain, config);
  assert.equal(expected.texts.length, 2);
  const extras: Record<string, Record<string, Tensor>> = {
    "with .weight": { [`${FIRST}text_projection.weight`]: zeros([width, width]) },
    "without .weight": { [`${FIRST}text_projection`]: zeros([width, width]) },
    "of another shape": { [`${FIRST}text_projection.weight`]: zeros([3, 5]) },
    "position ids, logit scale": {
      [`${FIRST}text_model.embeddings.position_ids`]: f32([1, 77]),
      "conditioner.embedders.0.logit_scale": f32([]),
      epoch: makeTensor("int64", [], BigInt64Array.of(3n)),
    },
    "unknown dtype": { "extra.scale": makeTensor("uint8", [16], new Uint8Array(16)) },
  };
  for (const [name, extra] of Object.entries(extras)) {
    const path = temp.join("extra.safetensors");
    await writeSafetensors(path, { ...tensors, ...extra });
    if (name === "unknown dtype") await renameDtype(path, "extra.scale");
    assert.deepEqual(await textStates(path, config), expected, name);
    const { parts, leftOver } = await inspectModel(path, { configFrom: config });
    assert.deepEqual(parts.flatMap(({ problem }) => problem ?? []), [], name);
    if (name === "unknown dtype") assert.ok(leftOver.others.includes("extra.scale"));
  }
});

Deno.test("a weight of unknown dtype that a model needs is named with what it is", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sd15", { scale: 0.03, depth: 1 }));
  const [plain, path, config] = ["a.safetensors", "b.safetensors", "c"].map((n) => temp.join(n));
  await writeRandomCheckpoint({
    ...{ path: plain!, family: "sd15", layout: "single", parts, dtype: "float16", seed: 1n },
  });
  await writeConfigs(config!, parts);
  const key = "model.diffusion_model.out.2.bias";
  const bias = makeTensor("uint8", [4], new Uint8Array(4));
  await writeSafetensors(path!, { ...await readAll(plain!), [key]: bias });
  await renameDtype(path!, key);
  await assert.rejects(textStates(path!, config!), {
    name: "FormatError",
    message: /1 of type F4, which has to be one of .* \(conv_out\.bias\)/,
  });
});

Deno.test("GraphRunner refuses two graphs of one name", () => {
  const graph = () => {
    const g = new GraphBuilder("twin");
    g.output("y", g.input("x", "float32", [1]));
    return g.build();
  };
  const options = { device: "cpu", threads: 1, lanes: 1 } as const;
  assert.throws(() => new GraphRunner([graph(), graph()], options), /"twin" is named twice/);
});
