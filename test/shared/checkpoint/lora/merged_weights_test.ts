import assert from "node:assert/strict";
import type { LoraChoice } from "../../../../shared/checkpoint/lora/lora_choice.ts";
import { openLocalExpert } from "../../../../shared/engine/local_expert.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { type F32Tensor, toFloat32 } from "../../../../shared/tensor/tensor.ts";
import { latentsFor, promptIds, sessionConfig } from "../../../support/expert_inputs.ts";
import { goldenExpert } from "../../../support/golden_expert.ts";
import { assertClose, assertFar } from "../../../support/goldens.ts";
import {
  castTensor,
  kohyaTensors,
  randomLayer,
  type TestLayer,
  writeLora,
  writeMerged,
} from "../../../support/lora_files.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { keepResults } from "../../../support/keep_results.ts";

const MODEL = goldenExpert("a");
const TOLERANCE = 1e-5;

const ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0";
const LINEAR: readonly string[] = [
  "time_embedding.linear_1",
  "down_blocks.1.resnets.0.time_emb_proj",
  `${ATTENTION}.attn1.to_q`,
  `${ATTENTION}.attn2.to_k`,
  `${ATTENTION}.attn2.to_out.0`,
  `${ATTENTION}.ff.net.0.proj`,
  `${ATTENTION}.ff.net.2`,
];
const CONV_1X1: readonly string[] = [
  "down_blocks.0.attentions.1.proj_in",
  "mid_block.attentions.0.proj_out",
  "up_blocks.3.resnets.0.conv_shortcut",
];
const CONV_3X3: readonly string[] = [
  "conv_in",
  "down_blocks.0.resnets.0.conv1",
  "down_blocks.1.downsamplers.0.conv",
  "up_blocks.2.upsamplers.0.conv",
  "conv_out",
];
const TEXT: readonly string[] = [
  "text_model.encoder.layers.0.self_attn.q_proj",
  "text_model.encoder.layers.0.self_attn.out_proj",
  "text_model.encoder.layers.1.mlp.fc1",
  "text_model.encoder.layers.1.mlp.fc2",
];

interface Results {
  readonly text: F32Tensor;
  readonly temb: F32Tensor;
  readonly noise: F32Tensor;
  readonly modelHash: string;
  readonly graphHash: string;
}

/** Everything that an expert computes: text states, time embedding, one whole U-Net call. */
async function results(model: string, loras: readonly LoraChoice[] = []): Promise<Results> {
  const expert = await openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1, loras });
  try {
    const { lastHiddenState: text } = await expert.encodeText(promptIds(expert.description));
    const temb = await expert.embedTimesteps([901, 1]);
    const config = await sessionConfig(expert);
    const session = keepResults(await expert.openSession(config));
    const hiddenStates = latentsFor(expert.description, config);
    const { hiddenStates: noise } = await session.forward({
      stepIndex: 0,
      first: "IN00",
      last: "OUT11",
      hiddenStates,
    });
    await session.close();
    const { modelHash, fingerprint: { graphHash } } = expert.description;
    return { text, temb, noise, modelHash, graphHash };
  } finally {
    await expert.close();
  }
}

function layers(
  paths: readonly string[],
  part: TestLayer["part"] = "unet",
  options = {},
): Promise<TestLayer[]> {
  return Promise.all(
    paths.map((path, i) =>
      randomLayer(MODEL, part, path, { rank: 3, alpha: 1.5, ...options, seed: i })
    ),
  );
}

const cases: [string, readonly string[], TestLayer["part"], keyof Results][] = [
  ["linear layers", LINEAR, "unet", "noise"],
  ["1x1 convolutions", CONV_1X1, "unet", "noise"],
  ["3x3 convolutions", CONV_3X3, "unet", "noise"],
  ["the text encoder", TEXT, "text_encoder", "text"],
];
for (const [what, paths, part, changed] of cases) {
  Deno.test(`A LoRA of ${what} gives what a checkpoint gives that was merged in f64`, async () => {
    await using folder = await tempFolder();
    const made = await layers(paths, part);
    const path = await writeLora(folder.join("lora.safetensors"), kohyaTensors(made));
    const weight = 0.7;
    const merged = await writeMerged(
      MODEL,
      folder.join("merged"),
      made.map((layer) => ({ ...layer, weight })),
    );
    const [ours, truth, plain] = [
      await results(MODEL, [{ path, weight }]),
      await results(merged),
      await results(MODEL),
    ];
    for (const name of ["text", "temb", "noise"] as const) {
      assertClose(name, ours[name], truth[name], TOLERANCE);
    }
    assertFar(changed, ours[changed] as F32Tensor, plain[changed] as F32Tensor);
    assert.notEqual(ours.modelHash, plain.modelHash);
  });
}

Deno.test("A LoRA of weight 0 leaves every bit, the graphs and the model's hash", async () => {
  await using folder = await tempFolder();
  const tensors = kohyaTensors(await layers([...LINEAR, ...CONV_3X3]));
  const path = await writeLora(folder.join("lora.safetensors"), tensors);
  const [ours, plain] = [await results(MODEL, [{ path, weight: 0 }]), await results(MODEL)];
  assert.ok(bitEqual(ours.noise.data, plain.noise.data));
  assert.equal(ours.modelHash, plain.modelHash);
  assert.equal(ours.graphHash, plain.graphHash);
});

Deno.test("A LoRA whose factors are zero changes nothing but the model's hash", async () => {
  await using folder = await tempFolder();
  const made = await layers([...LINEAR, ...CONV_1X1, ...CONV_3X3]);
  const zeros = made.map((layer) => ({
    ...layer,
    up: { ...layer.up, data: layer.up.data.map(() => 0) },
  }));
  const path = await writeLora(folder.join("lora.safetensors"), kohyaTensors(zeros));
  const [ours, plain] = [await results(MODEL, [{ path, weight: 1 }]), await results(MODEL)];
  assertClose("noise", ours.noise, plain.noise, 1e-7);
  assert.notEqual(ours.modelHash, plain.modelHash);
});

Deno.test("Two LoRAs add up, in any order to the same bits", async () => {
  await using folder = await tempFolder();
  const [one, two] = [
    await layers([...LINEAR, ...CONV_3X3]),
    await layers([...LINEAR, ...CONV_1X1], "unet", { rank: 5, alpha: 4 }),
  ];
  const [a, b] = [
    { path: await writeLora(folder.join("a.safetensors"), kohyaTensors(one)), weight: 0.5 },
    { path: await writeLora(folder.join("b.safetensors"), kohyaTensors(two)), weight: -0.25 },
  ];
  const merged = await writeMerged(MODEL, folder.join("merged"), [
    ...one.map((layer) => ({ ...layer, weight: a.weight })),
    ...two.map((layer) => ({ ...layer, weight: b.weight })),
  ]);
  const both = await results(MODEL, [a, b]);
  assertClose("noise", both.noise, (await results(merged)).noise, TOLERANCE);
  const turned = await results(MODEL, [b, a]);
  assert.ok(bitEqual(turned.noise.data, both.noise.data));
  assert.equal(turned.modelHash, both.modelHash);
  const alone = await results(MODEL, [a]);
  assertFar("noise", alone.noise, both.noise);
  assert.notEqual(alone.modelHash, both.modelHash);
});

Deno.test("The model's hash tells LoRAs of other weights and other files apart", async () => {
  await using folder = await tempFolder();
  const made = await layers(CONV_1X1);
  const path = await writeLora(folder.join("a.safetensors"), kohyaTensors(made));
  const other = await writeLora(folder.join("b.safetensors"), kohyaTensors(made.slice(1)));
  const hashes = [
    await results(MODEL),
    await results(MODEL, [{ path, weight: 1 }]),
    await results(MODEL, [{ path, weight: 1.5 }]),
    await results(MODEL, [{ path: other, weight: 1 }]),
  ].map(({ modelHash }) => modelHash);
  assert.equal(new Set(hashes).size, hashes.length);
});

for (const dtype of ["float16", "bfloat16"] as const) {
  Deno.test(`A LoRA in ${dtype} is merged with the values that it holds`, async () => {
    await using folder = await tempFolder();
    const made = await layers([...LINEAR, ...CONV_3X3]);
    const stored = made.map((layer) => ({
      ...layer,
      up: toFloat32(castTensor(layer.up, dtype)),
      down: toFloat32(castTensor(layer.down, dtype)),
    }));
    const tensors = Object.entries(kohyaTensors(made)).map(([key, tensor]) =>
      [key, castTensor(tensor, dtype)] as const
    );
    const path = await writeLora(folder.join("lora.safetensors"), Object.fromEntries(tensors));
    const merged = await writeMerged(
      MODEL,
      folder.join("merged"),
      stored.map((layer) => ({ ...layer, weight: 1 })),
    );
    const ours = await results(MODEL, [{ path, weight: 1 }]);
    assertClose(dtype, ours.noise, (await results(merged)).noise, TOLERANCE);
  });
}
