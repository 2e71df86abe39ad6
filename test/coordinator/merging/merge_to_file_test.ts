import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile, symlink } from "node:fs/promises";
import {
  mergeToFile,
  type MergeToFileOptions,
} from "../../../coordinator/merging/merge_to_file.ts";
import type { Merge } from "../../../shared/merging/recipe.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { roundTo } from "../../../shared/tensor/float64.ts";
import { i64, makeTensor, type Tensor } from "../../../shared/tensor/tensor.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { IN00, M00, TEXT, writeSmallModel } from "../../shared/merging/small_model.ts";

const half = (...values: readonly number[]) =>
  makeTensor("float16", [values.length], roundTo("float16", Float64Array.from(values)));

function mergeOf(models: readonly (string | Merge)[], more: Partial<Merge> = {}): Merge {
  return { name: "test", method: "weights", models, parameters: {}, ...more };
}

/** The tensors and metadata of a merge's file. */
async function merged(
  folder: TempFolder,
  merge: Merge,
  options: Partial<MergeToFileOptions> = {},
): Promise<{
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}> {
  const out = folder.join("out.safetensors");
  await mergeToFile(merge, { out, overwrite: true, ...options });
  const file = await SafetensorsFile.open(out);
  return { tensors: await file.readMany(file.entries.keys()), metadata: file.metadata };
}

const numbers = (tensor: Tensor | undefined) =>
  Array.from(tensor!.data as ArrayLike<number>, Number);

Deno.test("mergeToFile() merges what all models have, and tells what it did with the rest", async () => {
  await using folder = await tempFolder();
  const a = await writeSmallModel(folder.join("a.safetensors"), {
    [IN00]: [1, 2],
    "model.only_in_a.weight": [5],
    "cond_stage_model.position_ids": i64([2], [0, 1]),
    "betas": [7],
  });
  const b = await writeSmallModel(folder.join("b.safetensors"), {
    [IN00]: [3, 6],
    "model.only_in_b.weight": [8],
    "unrelated.weight": [9],
    "betas": [70],
  });
  const out = folder.join("out.safetensors");
  const report = await mergeToFile(mergeOf([a, b]), { out });
  assert.deepEqual([report.merged, report.kept, report.copied], [2, 3, 1]);
  const file = await SafetensorsFile.open(out);
  const tensors = await file.readMany(file.entries.keys());
  assert.deepEqual(numbers(tensors.get(IN00)), [2, 4]);
  assert.deepEqual(numbers(tensors.get("model.only_in_a.weight")), [5]);
  assert.deepEqual(numbers(tensors.get("model.only_in_b.weight")), [8]);
  assert.deepEqual(numbers(tensors.get("betas")), [7]);
  assert.deepEqual(tensors.get("cond_stage_model.position_ids"), i64([2], [0, 1]));
  assert.ok(!tensors.has("unrelated.weight"));
});

Deno.test("mergeToFile() stores the widest dtype, or the one that is asked for", async () => {
  await using folder = await tempFolder();
  const a = await writeSmallModel(folder.join("a.safetensors"), {
    [IN00]: half(1),
    [M00]: half(1),
    [TEXT]: half(1),
    "betas": half(1),
  });
  const b = await writeSmallModel(folder.join("b.safetensors"), {
    [IN00]: [2],
    [M00]: half(2),
    [TEXT]: makeTensor("bfloat16", [1], roundTo("bfloat16", Float64Array.of(2))),
  });
  const dtypes = async (options?: Partial<MergeToFileOptions>) => {
    const { tensors } = await merged(folder, mergeOf([a, b]), options);
    return [IN00, M00, TEXT, "betas"].map((key) => tensors.get(key)!.dtype);
  };
  assert.deepEqual(await dtypes(), ["float32", "float16", "float32", "float16"]);
  for (const dtype of ["float16", "bfloat16", "float32"] as const) {
    assert.deepEqual(await dtypes({ dtype }), new Array(4).fill(dtype));
  }
});

Deno.test("mergeToFile() at weight 0 and 1 copies bits that arithmetic would change", async () => {
  await using folder = await tempFolder();
  const odd = [-0, Infinity, -Infinity, NaN, 1e-45];
  const a = await writeSmallModel(folder.join("a.safetensors"), { [IN00]: odd });
  const b = await writeSmallModel(folder.join("b.safetensors"), { [IN00]: [1, 2, 3, 4, 5] });
  for (const [models, weights] of [[[a, b], [1, 0]], [[b, a], [0, 1]]] as const) {
    const { tensors } = await merged(folder, mergeOf(models, { parameters: { weights } }));
    assert.deepEqual(
      new Uint32Array(tensors.get(IN00)!.data.buffer),
      new Uint32Array(Float32Array.from(odd).buffer),
    );
  }
});

Deno.test("mergeToFile() chains merges without rounding in between", async () => {
  await using folder = await tempFolder();
  const path = (name: string) => folder.join(`${name}.safetensors`);
  const a = await writeSmallModel(path("a"), { [IN00]: half(1) });
  const b = await writeSmallModel(path("b"), { [IN00]: half(1 + 2 ** -10) });
  const c = await writeSmallModel(path("c"), { [IN00]: half(1 + 2 ** -9) });
  const inner = mergeOf([a, b]);
  const outer = mergeOf([inner, c]);
  // (1 + 2^-11 + 1 + 2^-9) / 2 = 1 + 1.25 2^-10; the inner mean rounded to f16 would be 1, and the result a tie.
  const { tensors, metadata } = await merged(folder, outer, { dtype: "float32" });
  assert.deepEqual(numbers(tensors.get(IN00)), [1 + 1.25 * 2 ** -10]);
  const recipe = JSON.parse(metadata.sd_merge_recipe!);
  assert.deepEqual(recipe.models[0].models.map((m: { model: string }) => m.model), [
    "a.safetensors",
    "b.safetensors",
  ]);
});

Deno.test("mergeToFile() takes text encoders under their old and new names for the same", async () => {
  await using folder = await tempFolder();
  const old = TEXT.replace("text_model.", "");
  const a = await writeSmallModel(folder.join("a.safetensors"), { [old]: [1] });
  const b = await writeSmallModel(folder.join("b.safetensors"), { [TEXT]: [3] });
  const { tensors } = await merged(folder, mergeOf([a, b]));
  assert.deepEqual(numbers(tensors.get(TEXT)), [2]);
  assert.ok(!tensors.has(old));
});

Deno.test("mergeToFile() writes recipe, hashes, and what its inputs say of themselves", async () => {
  await using folder = await tempFolder();
  const v = { "modelspec.prediction_type": "v" };
  const a = await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] }, { metadata: v });
  const b = await writeSmallModel(folder.join("b.safetensors"), { [IN00]: [2] }, {
    metadata: {
      ...v,
      sd_merge_recipe: '{"type":"webui","interp_method":"Weighted sum"}',
      sd_merge_models: '{"ab12":{"name":"grandparent"}}',
    },
  });
  const merge = mergeOf([a, b], { method: "weighted-sum", parameters: { alpha: "GRAD_V" } });
  const { metadata } = await merged(folder, merge);
  const sha = async (path: string) =>
    createHash("sha256").update(await readFile(path)).digest("hex");
  assert.equal(metadata["modelspec.prediction_type"], "v");
  const recipe = JSON.parse(metadata.sd_merge_recipe!);
  assert.equal(recipe.type, "tutti");
  assert.equal(recipe.method, "weighted-sum");
  assert.equal(recipe.alpha, "GRAD_V");
  assert.deepEqual(recipe.models, [
    { model: "a.safetensors", sha256: await sha(a) },
    { model: "b.safetensors", sha256: await sha(b) },
  ]);
  assert.deepEqual(JSON.parse(metadata.sd_merge_models!), {
    [await sha(a)]: { name: "a.safetensors", sd_merge_recipe: null },
    ab12: { name: "grandparent" },
    [await sha(b)]: {
      name: "b.safetensors",
      sd_merge_recipe: { type: "webui", interp_method: "Weighted sum" },
    },
  });
});

Deno.test("mergeToFile() refuses models that do not fit each other, and names what differs", async () => {
  await using folder = await tempFolder();
  const path = (name: string) => folder.join(`${name}.safetensors`);
  const a = await writeSmallModel(path("a"), { [IN00]: [1, 2] });
  const cases: readonly (readonly [Promise<string>, RegExp])[] = [
    [
      writeSmallModel(path("xl"), { [IN00]: [1, 2] }, { family: "sdxl" }),
      /must be of one family to be merged: ".*a\.safetensors" is SD1\.5, ".*xl\.safetensors" is SDXL/,
    ],
    [
      writeSmallModel(path("v"), { [IN00]: [1, 2], v_pred: [] }),
      /must predict the same to be merged: .* is epsilon, .* is v_prediction/,
    ],
    [
      writeSmallModel(path("wide"), { [IN00]: [1, 2, 3] }),
      /"model\.diffusion_model\.input_blocks\.0\.0\.weight" must have the same shape in all models: it is float32 \[2\] in .*, float32 \[3\] in/,
    ],
    [Promise.resolve(path("none")), /Weight file ".*none\.safetensors" must exist/],
  ];
  for (const [other, message] of cases) {
    const merge = mergeOf([a, await other]);
    await assert.rejects(mergeToFile(merge, { out: path("out") }), message);
  }
  assert.ok(!(await readdir(folder.path)).some((name) => name.startsWith("out")));
});

Deno.test("mergeToFile() refuses an output that exists, and an input under any name", async () => {
  await using folder = await tempFolder();
  const a = await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] });
  const b = await writeSmallModel(folder.join("b.safetensors"), { [IN00]: [2] });
  const before = await readFile(a);
  await symlink(a, folder.join("link"));
  await Deno.link(b, folder.join("hard"));
  const other = await writeSmallModel(folder.join("other"), { [IN00]: [3] });
  const merge = mergeOf([a, b]);
  for (const out of [a, folder.join("link"), folder.join("hard")]) {
    await assert.rejects(
      mergeToFile(merge, { out, overwrite: true }),
      /must be another file than the inputs/,
    );
  }
  await assert.rejects(
    mergeToFile(merge, { out: other, overwrite: true, protectedFiles: [other] }),
    /must be another file than the inputs/,
  );
  await assert.rejects(mergeToFile(merge, { out: other }), /must not exist, unless "overwrite"/);
  await mergeToFile(merge, { out: other, overwrite: true });
  assert.deepEqual(await readFile(a), before);
});

Deno.test("mergeToFile() that is cancelled leaves nothing behind", async () => {
  await using folder = await tempFolder();
  const a = await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] });
  const b = await writeSmallModel(folder.join("b.safetensors"), { [IN00]: [2] });
  const controller = new AbortController();
  const run = mergeToFile(mergeOf([a, b]), {
    out: folder.join("out"),
    signal: controller.signal,
    onWrite: () => () => controller.abort(),
  });
  await assert.rejects(run, { code: "CANCELLED" });
  assert.deepEqual((await readdir(folder.path)).sort(), ["a.safetensors", "b.safetensors"]);
});

Deno.test("mergeToFile() refuses parameters and counts of models that do not fit the method", async () => {
  await using folder = await tempFolder();
  const a = await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] });
  const cases: readonly (readonly [number, Partial<Merge>, string, RegExp])[] = [
    [2, { method: "weighted-sun" }, "method", /did you mean "weighted-sum"\?/],
    [2, { method: "constructor" }, "method", /must be one of weights, /],
    [2, { method: "add-difference" }, "models", /must be 3 for this method: current count is 2/],
    [1, {}, "models", /must be 2 or more for this method: current count is 1/],
    [0, {}, "models", /current count is 0/],
    [2, { parameters: { weights: [1] } }, "weights", /one number for each of the 2 models/],
    [
      2,
      { parameters: { weights: [0.7, 0.2] } },
      "weights",
      /sum to 1: .* 0\.9; 0\.777778,0\.222222 do/,
    ],
    [2, { parameters: { weights: [1, NaN] } }, "weights", /must be a list of numbers/],
    [2, { parameters: { alpha: 0.5 } }, "alpha", /has no such parameter: it has weights/],
    [2, { parameters: { base: 0.5 } }, "base", /no parameter that differs between blocks/],
    [2, { method: "slerp", parameters: { alpha: 1.5 } }, "alpha", /from 0 to 1: .* 1\.5/],
    [2, { method: "slerp", parameters: { alpha: "GRAD_W" } }, "alpha", /did you mean "GRAD_V"\?/],
    [2, { method: "weighted-sum", parameters: { beta: 1 } }, "beta", /no such parameter/],
    [2, { method: "mbw" }, "mbw", /is missing: expected a row/],
    [3, { method: "mbw", parameters: { mbw: "GRAD_V" } }, "mbw", /2 in all: current count is 1/],
    [3, { method: "model-stock", parameters: { alpha: 1 } }, "alpha", /it has none/],
    [
      2,
      { method: "weighted-sum", parameters: { alpha: ["GRAD_V"] } },
      "alpha",
      /one number or row/,
    ],
  ];
  for (const [count, more, field, message] of cases) {
    const merge = mergeOf(new Array<string>(count).fill(a), more);
    await assert.rejects(mergeToFile(merge, { out: folder.join("out") }), (error: Error) => {
      assert.equal((error as { field?: string }).field, field, error.message);
      assert.match(error.message, message);
      return true;
    });
  }
  assert.deepEqual(await readdir(folder.path), ["a.safetensors"]);
});
