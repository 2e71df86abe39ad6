import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { mergeToFile } from "../../../coordinator/merging/merge_to_file.ts";
import type { ModelSource } from "../../../shared/checkpoint/checkpoint.ts";
import type { LoraChoice } from "../../../shared/checkpoint/lora/lora_choice.ts";
import { type LocalExpert, openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { readRecipe } from "../../../shared/merging/recipe_file.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { latentsFor, promptIds, sessionConfig } from "../../support/expert_inputs.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { assertFar, goldenPath } from "../../support/goldens.ts";
import { keepResults } from "../../support/keep_results.ts";
import { kohyaTensors, randomLayer, writeLora } from "../../support/lora_files.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const [A, B] = [goldenExpert("a"), goldenExpert("b")];
/** A as communities share it. */
const A_FILE = goldenPath("sd15", "expert-a.safetensors");

interface Results {
  readonly tensors: readonly F32Tensor[];
  readonly modelHash: string;
}

/** Text states, time embedding, and the noise of the whole U-Net. */
async function results(
  model: ModelSource,
  { loras = [], configFrom }: {
    readonly loras?: readonly LoraChoice[];
    readonly configFrom?: string;
  } = {},
): Promise<Results> {
  const expert = await openLocalExpert({
    ...{ model, device: "cpu", lanes: 1, threads: 1, loras },
    ...(configFrom !== undefined && { configFrom }),
  });
  try {
    return await resultsOf(expert);
  } finally {
    await expert.close();
  }
}

async function resultsOf(expert: LocalExpert): Promise<Results> {
  const { lastHiddenState: text } = await expert.encodeText(promptIds(expert.description));
  const temb = await expert.embedTimesteps([901, 1]);
  const config = await sessionConfig(expert);
  const session = keepResults(await expert.openSession(config));
  const hiddenStates = latentsFor(expert.description, config);
  const { hiddenStates: noise } = await session.forward({
    ...{ stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates },
  });
  await session.close();
  return { tensors: [text, temb, noise], modelHash: expert.description.modelHash };
}

function assertSameBits(name: string, { tensors: a }: Results, { tensors: b }: Results): void {
  a.forEach((tensor, i) => assert.ok(bitEqual(tensor.data, b[i]!.data), `${name}, output ${i}`));
}

Deno.test("a merge without a file draws the bits of the merged file, rounded to f16 or not", async () => {
  await using folder = await tempFolder();
  const alone = await results(A);
  for (const dtype of ["f16", "f32"]) {
    const recipe = await readRecipe(
      `{ models = [${JSON.stringify(A)}, ${
        JSON.stringify(B)
      }], mbw = "GRAD_V", base = 0.3, dtype = "${dtype}" }`,
    );
    const out = folder.join(`${dtype}.safetensors`);
    await mergeToFile(recipe.merge, { out, dtype: recipe.dtype! });
    const merged = await results(recipe);
    const ofFile = await results(out, { configFrom: A });
    assertSameBits(dtype, merged, ofFile);
    merged.tensors.forEach((tensor, i) => assertFar(`${dtype} ${i}`, tensor, alone.tensors[i]!));
    assert.notEqual(merged.modelHash, ofFile.modelHash);
  }
});

Deno.test("a LoRA adds to a merge without a file what it adds to the file", async () => {
  await using folder = await tempFolder();
  const options = { rank: 3, alpha: 1.5, seed: 1 };
  const layers = [
    await randomLayer(A, "unet", "down_blocks.0.resnets.0.conv1", options),
    await randomLayer(A, "text_encoder", "text_model.encoder.layers.0.self_attn.q_proj", options),
  ];
  const path = await writeLora(folder.join("lora.safetensors"), kohyaTensors(layers));
  const recipe = await readRecipe(`{ models = ["${A}", "${B}"], alpha = 0.4, method = "slerp" }`);
  const out = folder.join("out.safetensors");
  await mergeToFile(recipe.merge, { out });
  const loras = [{ path, weight: 0.8 }];
  const merged = await results(recipe, { loras });
  assertSameBits("with LoRA", merged, await results(out, { configFrom: A, loras }));
  const plain = await results(recipe);
  assert.notEqual(merged.modelHash, plain.modelHash);
  assertFar("LoRA", merged.tensors[2]!, plain.tensors[2]!, 1e-4);
});

Deno.test("a diffusers folder merges as its single file does", async () => {
  const folders = await results(
    await readRecipe(`{ models = ["${A}", "${B}"], alpha = 0.4, method = "weighted-sum" }`),
  );
  const mixed = await results(
    await readRecipe(`{ models = ["${A_FILE}", "${B}"], alpha = 0.4, method = "weighted-sum" }`),
  );
  assertSameBits("folder and file", folders, mixed);
});

Deno.test("who a merge is follows from what is computed, not from how it is written", async () => {
  await using folder = await tempFolder();
  const hashOf = async (text: string) => {
    const expert = await openLocalExpert({
      ...{ model: await readRecipe(text), device: "cpu", lanes: 1, threads: 1 },
    });
    await expert.close();
    return expert.description.modelHash;
  };
  const models = `models = ["${A}", "${B}"]`;
  const file = folder.join("mix.toml");
  await writeFile(
    file,
    `[[merge]]\n${models}\nmethod = "weighted-sum"\nalpha = "FLAT_50"\nbase = 0.5\n`,
  );
  const hash = await hashOf(`{ ${models}, method = "weighted-sum" }`);
  assert.match(hash, /^[0-9a-f]{64}$/);
  const same = [
    `{ ${models}, method = "weighted-sum", alpha = 0.5 }`,
    `{ alpha = "0.5", method = "weighted-sum", ${models} }`,
    `{ ${models}, method = "weighted-sum", alpha = [0.5, ${new Array(25).fill(0.5)}] }`,
    file,
  ];
  for (const text of same) assert.equal(await hashOf(text), hash, text);
  const others = [
    `{ ${models}, method = "weighted-sum", alpha = 0.51 }`,
    `{ ${models}, method = "weighted-sum", alpha = "FLAT_50" }`,
    `{ ${models}, method = "weighted-sum", dtype = "f16" }`,
    `{ ${models}, method = "slerp" }`,
    `{ ${models} }`,
    `{ models = ["${B}", "${A}"], method = "weighted-sum" }`,
    `{ models = ["${A_FILE}", "${B}"], method = "weighted-sum" }`,
    `{ models = ["${file}", "${B}"], method = "weighted-sum" }`,
  ];
  const hashes = await Promise.all(others.map(hashOf));
  assert.equal(new Set([hash, ...hashes]).size, others.length + 1);
});

Deno.test("remerge() computes the blocks anew that differ, to the bits of an expert that was opened so", async () => {
  const rowed = (row: readonly number[]) =>
    readRecipe(`{ models = ["${A}", "${B}"], method = "mbw", mbw = ${JSON.stringify(row)} }`);
  const before = new Array<number>(26).fill(0.5);
  // BASE, IN00 and OUT11.
  const after = before.map((weight, i) => [0, 1, 25].includes(i) ? 0.2 : weight);
  const expert = await openLocalExpert({
    ...{ model: await rowed(before), device: "cpu", lanes: 1, threads: 1 },
  });
  try {
    const first = await resultsOf(expert);
    await expert.remerge(await rowed(after), ["BASE", "IN00", "OUT11"]);
    assert.deepEqual([...expert.loadedGraphs].includes("M00"), true);
    assert.deepEqual(
      ["IN00", "OUT11", "time_embedding", "text_encoder"].filter((graph) =>
        expert.loadedGraphs.has(graph)
      ),
      [],
    );
    const second = await resultsOf(expert);
    const fresh = await results(await rowed(after));
    assertSameBits("remerged", second, fresh);
    assert.equal(second.modelHash, fresh.modelHash);
    second.tensors.forEach((tensor, i) => assertFar(`${i}`, tensor, first.tensors[i]!, 1e-3));
  } finally {
    await expert.close();
  }
});
