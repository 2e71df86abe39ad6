import assert from "node:assert/strict";
import { openLocalExpert } from "../../../../shared/engine/local_expert.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { promptIds, randomTensor } from "../../../support/expert_inputs.ts";
import { goldenExpert } from "../../../support/golden_expert.ts";
import { assertFar } from "../../../support/goldens.ts";
import {
  kohyaTensors,
  randomLayer,
  type Tensors,
  type TestLayer,
  writeLora,
} from "../../../support/lora_files.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const MODEL = goldenExpert("a");
const BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0";
const RANK = 2;

/** A key's beginning and the two endings of its factors. */
type Naming = (layer: TestLayer) => { path: string; down: string; up: string };

const processor = (path: string) =>
  path.replace(/\.(to_[qkv]|to_out)(\.0)?$/, ".processor.$1_lora");
const oldText = (path: string) =>
  path.replace(/\.([qkv])_proj$/, ".to_$1_lora").replace(/\.out_proj$/, ".to_out_lora");

const NAMINGS: Readonly<Record<string, Naming>> = {
  "PEFT": ({ part, path }) => ({
    path: `${part}.${path}`,
    down: ".lora_A.weight",
    up: ".lora_B.weight",
  }),
  "diffusers, lora_linear_layer in the text encoder": ({ part, path }) => {
    const kind = part === "unet" ? "lora" : "lora_linear_layer";
    return { path: `${part}.${path}`, down: `.${kind}.down.weight`, up: `.${kind}.up.weight` };
  },
  "diffusers' attention processors": ({ part, path }) => {
    const old = part === "unet" ? processor(path) : oldText(path);
    const dot = old.endsWith("_lora") ? "." : ".lora.";
    return { path: `${part}.${old}`, down: `${dot}down.weight`, up: `${dot}up.weight` };
  },
  "kohya over LDM's names": ({ part, path }) => ({
    path: part === "unet"
      ? `lora_unet_${LDM[path]!.replaceAll(".", "_")}`
      : `lora_te_${path.replaceAll(".", "_")}`,
    down: ".lora_down.weight",
    up: ".lora_up.weight",
  }),
};
const LDM: Readonly<Record<string, string>> = {
  [`${BLOCK}.attn1.to_q`]: "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
  [`${BLOCK}.attn2.to_out.0`]: "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
  "down_blocks.0.resnets.0.conv2": "input_blocks.1.0.out_layers.3",
  "down_blocks.0.resnets.0.time_emb_proj": "input_blocks.1.0.emb_layers.1",
};
const TEXT = "text_model.encoder.layers.0.self_attn";

function renamed(layers: readonly TestLayer[], naming: Naming): Tensors {
  return Object.fromEntries(layers.flatMap((layer) => {
    const { path, down, up } = naming(layer);
    return [[path + down, layer.down], [path + up, layer.up]];
  }));
}

/** What the model makes of fixed inputs: block IN01, where the layers are, and the text states. */
async function outputs(path?: string): Promise<readonly F32Tensor[]> {
  const loras = path === undefined ? [] : [{ path, weight: 0.6 }];
  const expert = await openLocalExpert({
    model: MODEL,
    device: "cpu",
    lanes: 1,
    threads: 1,
    loras,
  });
  try {
    const { crossAttentionDim, timeEmbedDim } = expert.description;
    const { hiddenStates } = await expert.forwardBlock({
      block: "IN01",
      hiddenStates: randomTensor([1, 16, 8, 8], 1),
      temb: randomTensor([1, timeEmbedDim], 2),
      encoderHiddenStates: randomTensor([1, 5, crossAttentionDim], 3),
    });
    const { lastHiddenState } = await expert.encodeText(promptIds(expert.description));
    return [hiddenStates, lastHiddenState];
  } finally {
    await expert.close();
  }
}

Deno.test("One LoRA in every naming gives the same bits", async (t) => {
  await using folder = await tempFolder();
  const layers = [
    ...await Promise.all(
      Object.keys(LDM).map((path, seed) => randomLayer(MODEL, "unet", path, { rank: RANK, seed })),
    ),
    ...await Promise.all(
      ["q_proj", "out_proj"].map((name, seed) =>
        randomLayer(MODEL, "text_encoder", `${TEXT}.${name}`, { rank: RANK, seed })
      ),
    ),
  ];
  // The other namings have no alpha tensors: their strength is 1, as with alpha = rank.
  const kohya = await writeLora(
    folder.join("kohya.safetensors"),
    kohyaTensors(layers.map((layer) => ({ ...layer, alpha: RANK }))),
  );
  const expected = await outputs(kohya);
  const plain = await outputs();
  expected.forEach((tensor, i) => assertFar(`output ${i}`, tensor, plain[i]!));
  for (const [name, naming] of Object.entries(NAMINGS)) {
    await t.step(name, async () => {
      const tensors = renamed(layers, naming);
      assert.equal(Object.keys(tensors).length, 2 * layers.length);
      const actual = await outputs(await writeLora(folder.join("other.safetensors"), tensors));
      actual.forEach((tensor, i) => assert.ok(bitEqual(tensor.data, expected[i]!.data), `${i}`));
    });
  }
  await t.step("a U-Net alone, without prefix", async () => {
    const unet = layers.filter(({ part }) => part === "unet");
    const prefixed = renamed(unet, NAMINGS.PEFT!);
    const bare = Object.fromEntries(
      Object.entries(prefixed).map(([key, tensor]) => [key.replace(/^unet\./, ""), tensor]),
    );
    const [block, text] = await outputs(await writeLora(folder.join("bare.safetensors"), bare));
    assert.ok(bitEqual(block!.data, expected[0]!.data));
    assert.ok(bitEqual(text!.data, plain[1]!.data));
  });
});

Deno.test("alpha divided by the rank is the strength, whatever the naming", async () => {
  await using folder = await tempFolder();
  const layer = await randomLayer(MODEL, "unet", `${BLOCK}.attn1.to_q`, { rank: RANK, alpha: 3 });
  const peft = renamed([layer], NAMINGS.PEFT!);
  const files = await Promise.all([
    writeLora(folder.join("kohya.safetensors"), kohyaTensors([layer])),
    writeLora(folder.join("alpha.safetensors"), {
      ...peft,
      [`unet.${layer.path}.alpha`]: f32([], [layer.alpha]),
    }),
    writeLora(folder.join("metadata.safetensors"), peft, {
      lora_adapter_metadata: JSON.stringify({ "unet.lora_alpha": layer.alpha, "unet.r": RANK }),
    }),
  ]);
  const [kohya, alpha, metadata] = await Promise.all(files.map(outputs));
  assert.ok(bitEqual(alpha![0]!.data, kohya![0]!.data));
  assert.ok(bitEqual(metadata![0]!.data, kohya![0]!.data));
  const weaker = await outputs(await writeLora(folder.join("peft.safetensors"), peft));
  assertFar("alpha 3 and 2", weaker[0]!, kohya![0]!, 1e-4);
});
