import assert from "node:assert/strict";
import { FormatError } from "../../../../shared/errors.ts";
import { readLoraFile } from "../../../../shared/checkpoint/lora/lora_file.ts";
import { changeShapes } from "../../../../shared/checkpoint/lora/lora_layer.ts";
import { SafetensorsFile } from "../../../../shared/safetensors/reader.ts";
import { f32, i64, makeTensor, type Tensor } from "../../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../../support/goldens.ts";
import { type Tensors, writeLora } from "../../../support/lora_files.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const DOWN = f32([2, 3]);
const UP = f32([5, 2]);
const LAYER: Tensors = { "lora_unet_a.lora_down.weight": DOWN, "lora_unet_a.lora_up.weight": UP };

/** Reads a LoRA of these tensors. */
async function read(tensors: Tensors, metadata?: Record<string, string>) {
  await using folder = await tempFolder();
  return await readLoraFile(await writeLora(folder.join("ink.safetensors"), tensors, metadata));
}

Deno.test("readLoraFile() pairs the factors of every naming", async () => {
  const suffixes = [
    [".lora_down.weight", ".lora_up.weight"],
    [".lora_A.weight", ".lora_B.weight"],
    [".lora_A.default.weight", ".lora_B.default.weight"],
    ["_lora.down.weight", "_lora.up.weight"],
    [".lora.down.weight", ".lora.up.weight"],
    [".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"],
  ];
  for (const [down, up] of suffixes) {
    const { name, layers } = await read({ [`unet.a.to_q${down}`]: DOWN, [`unet.a.to_q${up}`]: UP });
    assert.equal(name, "ink");
    const [layer] = layers;
    assert.equal(layers.length, 1);
    assert.equal(layer!.path, "unet.a.to_q");
    assert.equal(changeShapes(layer!.change), "[5,2] times [2,3]");
  }
});

Deno.test("readLoraFile() says where the factors lie, and reads only the alphas", async () => {
  await using folder = await tempFolder();
  const path = await writeLora(folder.join("ink.safetensors"), {
    ...LAYER,
    "lora_unet_a.alpha": f32([], [0.5]),
    "lora_unet_b.lora_down.weight": f32([4, 3, 3, 3]),
    "lora_unet_b.lora_up.weight": f32([5, 4, 1, 1]),
  });
  const { entries } = await SafetensorsFile.open(path);
  const { layers, dataStart } = await readLoraFile(path);
  const [a, b] = ["lora_unet_a", "lora_unet_b"].map((name) => layers.find((l) => l.path === name)!);
  assert.deepEqual([a!.rank, a!.alpha, b!.rank], [2, 0.5, 4]);
  assert.equal(b!.alpha, 4, "without an alpha it is the rank");
  const { begin, end } = entries.get("lora_unet_b.lora_up.weight")!;
  const { change } = b!;
  assert.deepEqual(change.kind === "product" && change.product.up, {
    dtype: "float32",
    shape: [5, 4, 1, 1],
    path,
    offset: begin,
    length: end - begin,
  });
  assert.equal(dataStart, Math.min(...[...entries.values()].map((entry) => entry.begin)));
});

Deno.test("readLoraFile() takes PEFT's alpha from the metadata, and a tensor before it", async () => {
  const metadata = { lora_adapter_metadata: JSON.stringify({ "unet.lora_alpha": 6 }) };
  const peft = { "unet.a.lora_A.weight": DOWN, "unet.a.lora_B.weight": UP };
  assert.equal((await read(peft, metadata)).layers[0]!.alpha, 6);
  const { layers } = await read({ ...peft, "unet.a.alpha": f32([1], [3]) }, metadata);
  assert.equal(layers[0]!.alpha, 3);
});

Deno.test("readLoraFile() refuses relatives of LoRA by name", async () => {
  const cases: [string, RegExp][] = [
    ["lora_unet_a.hada_t1", /this is a LoHa with a third matrix .* \(key "lora_unet_a\.hada_t1"\)/],
    ["lora_unet_a.lokr_t2", /this is a LoKr with a third matrix/],
    ["bundle_emb.ink.string_to_param.*", /this is a LoRA with embeddings of its own/],
    ["lora_unet_a.diff", /this is a full difference of weights/],
    ["lora_unet_a.diff_b", /this is a full difference of weights/],
    ["lora_unet_a.lora_mid.weight", /this is a LoCon with a third matrix/],
    ["lora_unet_a.oft_blocks", /this is an OFT/],
    ["lora_unet_a.b1.weight", /this is a GLoRA/],
    ["lora_unet_a.on_input", /this is an \(IA\)3/],
    ["unet.a.lora_embedding_A", /this is a LoRA of embeddings/],
    ["unet.a.lora_B.bias", /this is a LoRA with biases/],
  ];
  for (const [key, message] of cases) {
    await assert.rejects(read({ ...LAYER, [key]: f32([2]) }), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, /^LoRA ".*ink\.safetensors" is not supported: /);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("readLoraFile() refuses wrong tensors, naming them", async () => {
  const cases: [Tensors, RegExp][] = [
    [{}, /must be a LoRA, .*: it is empty$/],
    [{ "conv_in.weight": f32([1]) }, /must be a LoRA, .*: 1 current \(conv_in\.weight\)$/],
    [
      { ...LAYER, "lora_unet_b.lora_up.weight": UP, "lora_unet_c.alpha": f32([], [1]) },
      /2 without their other half \(lora_unet_b\.lora_up\.weight, lora_unet_c\.alpha\)$/,
    ],
    [{ ...LAYER, "lora_unet_a.strength": f32([1]) }, /1 unknown \(lora_unet_a\.strength\)$/],
    [
      { ...LAYER, "lora_unet_a.lora_up.weight": f32([5, 3]) },
      /one rank per layer: "lora_unet_a\.lora_down\.weight" is \[2,3\], .*lora_up\.weight" is \[5,3\]$/,
    ],
    [
      { "lora_unet_a.lora_down.weight": f32([0, 3]), "lora_unet_a.lora_up.weight": f32([5, 0]) },
      /one rank per layer/,
    ],
    [
      { ...LAYER, "lora_unet_a.lora_up.weight": int8([5, 2]) },
      /"lora_unet_a\.lora_up\.weight" must be of float64, .*: current type is int8$/,
    ],
    [
      { ...LAYER, "lora_unet_a.alpha": f32([2]) },
      /"lora_unet_a\.alpha" must be one number: current shape is \[2\]$/,
    ],
    [
      { ...LAYER, "lora_unet_a.alpha": f32([], [NaN]) },
      /"lora_unet_a\.alpha" must be finite: current value is NaN$/,
    ],
    [
      { ...LAYER, "lora_unet_a.lora_A.weight": DOWN },
      /one down tensor per layer: "lora_unet_a\.lora_\w+\.weight" and .* are for the same$/,
    ],
  ];
  for (const [tensors, message] of cases) {
    await assert.rejects(read(tensors), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      assert.match(error.message, /ink\.safetensors"/);
      return true;
    });
  }
  // A whole number is a value, too.
  assert.equal((await read({ ...LAYER, "lora_unet_a.alpha": i64([], [4]) })).layers[0]!.alpha, 4);
});

Deno.test("readLoraFile() refuses checkpoints, pickles and files that are not there", async () => {
  const checkpoint = goldenPath("sd15", "expert-a.safetensors");
  await assert.rejects(
    readLoraFile(checkpoint),
    /must be a LoRA, .*and \d+ more\)$/,
  );
  await using folder = await tempFolder();
  const pickle = folder.join("ink.pt");
  await Deno.writeFile(pickle, Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e, 0, 0, 0, 0));
  await assert.rejects(readLoraFile(pickle), FormatError);
  await assert.rejects(readLoraFile(folder.join("none.safetensors")), FormatError);
});

function int8(shape: readonly number[]): Tensor {
  return makeTensor("int8", shape, new Int8Array(shape.reduce((a, b) => a * b, 1)));
}
