import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { mergeToFile } from "../../../coordinator/merging/merge_to_file.ts";
import type { Merge } from "../../../shared/merging/recipe.ts";
import { readRecipe } from "../../../shared/merging/recipe_file.ts";
import { FormatError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { IN00, writeSmallModel } from "./small_model.ts";

Deno.test("readRecipe() puts merges of several files together, and its result can be merged", async () => {
  await using folder = await tempFolder();
  await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] });
  await writeSmallModel(folder.join("b.safetensors"), { [IN00]: [3] });
  await writeSmallModel(folder.join("c.safetensors"), { [IN00]: [8] });
  await writeFile(
    folder.join("mix.toml"),
    `
[[merge]]
method = "weighted-sum"
models = ["v1.5 look", "inner.toml"]
alpha = "GRAD_V"
base = 0.5

[[merge]]
name = "v1.5 look"
models = ["a.safetensors", "./b.safetensors"]
weights = [0.25, 0.75]
`,
  );
  await writeFile(
    folder.join("inner.toml"),
    `
[[merge]]
models = ["b.safetensors", "c.safetensors", "a.safetensors"]
mbw = ["WRAP12", [${new Array(25).fill(0)}]]
`,
  );
  const { merge, files } = await readRecipe(folder.join("mix.toml"));
  assert.deepEqual(files.toSorted(), [folder.join("inner.toml"), folder.join("mix.toml")]);
  assert.deepEqual(merge.parameters, { alpha: "GRAD_V", base: 0.5 });
  const [look, inner] = merge.models as [Merge, Merge];
  assert.equal(look.method, "weights");
  assert.deepEqual(look.models, [folder.join("a.safetensors"), folder.join("b.safetensors")]);
  assert.equal(inner.method, "mbw");
  const out = folder.join("out.safetensors");
  await mergeToFile(merge, { out });
  // In IN00 both rows give all to the last model: c.
  const tensor = await (await SafetensorsFile.open(out)).read(IN00);
  assert.deepEqual([...tensor.data], [8]);
});

Deno.test("readRecipe() refuses holes, circles, and what is no recipe, naming file and key", async () => {
  await using folder = await tempFolder();
  const step = (...lines: readonly string[]) => `[[merge]]\n${lines.join("\n")}\n`;
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /Recipe must have 1 to 100 merges/],
    ["merge = 3", /"merge" must be tables, each headed by \[\[merge\]\]/],
    ["[[merge", /^.*mix\.toml:1:\d+: Recipe must be TOML/],
    [step('models = ["a.safetensors"]').repeat(101), /current count is 101/],
    ["[[merges]]\n", /"merges" is no known key \(did you mean "merge"\?\)/],
    [
      step('models = ["a.st", "b.st"]', "alpah = 1"),
      /"alpah" is no known key in merge\[0\] \(did you mean "alpha"/,
    ],
    [step("alpha = 1"), /"merge\[0\]\.models" must be a list of files or folders/],
    [step("models = [1]"), /"merge\[0\]\.models" must be a list of files or folders/],
    [
      step('name = "look"', 'models = ["a.st", "b.st"]') + step('models = ["loook", "b.st"]'),
      /"merge\[1\]\.models" must be .*; "loook" is none of them \(did you mean "look"\?\)/,
    ],
    [
      step('name = "x"', 'models = ["a.st"]') + step('name = "x"', 'models = ["a.st"]'),
      /"merge\[1\]\.name" must be another one than that of merge\[0\]/,
    ],
    [
      step('name = "x"', 'models = ["a.st"]') + step('models = ["b.st"]'),
      /must have one result, a merge that no other one uses: nobody uses "x", "merge\[1\]"/,
    ],
    [
      step('name = "x"', 'models = ["y"]') + step('name = "y"', 'models = ["x", "a.st"]'),
      /Merge "x" must not use its own result: x uses y uses x/,
    ],
    [
      step('name = "x"', 'models = ["x", "a.st"]'),
      /Merge "x" must not use its own result: x uses x/,
    ],
    [step('models = ["mix.toml", "a.st"]'), /Recipe ".*mix\.toml" must not use its own result/],
    [step('models = ["none.toml", "a.st"]'), /Cannot read recipe ".*none\.toml"/],
  ];
  for (const [text, message] of cases) {
    await writeFile(folder.join("mix.toml"), text);
    await assert.rejects(readRecipe(folder.join("mix.toml")), (error) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("readRecipe() finds a circle through several files", async () => {
  await using folder = await tempFolder();
  await writeFile(folder.join("a.toml"), '[[merge]]\nmodels = ["b.toml", "x.st"]\n');
  await writeFile(folder.join("b.toml"), '[[merge]]\nmodels = ["./a.toml", "x.st"]\n');
  await assert.rejects(
    readRecipe(folder.join("a.toml")),
    /Recipe ".*a\.toml" must not use its own result: .*a\.toml uses .*b\.toml uses .*a\.toml/,
  );
});

Deno.test("a recipe's parameters that do not fit are told by file and key", async () => {
  await using folder = await tempFolder();
  await writeSmallModel(folder.join("a.safetensors"), { [IN00]: [1] });
  const models = 'models = ["a.safetensors", "a.safetensors"]';
  const cases = [
    [
      `${models}\nmethod = "slurp"`,
      /mix\.toml: "merge\[0\]\.method" must be one of .* \(did you mean "slerp"\?\)/,
    ],
    [`${models}\nweights = [1, 1]`, /mix\.toml: "merge\[0\]\.weights" must sum to 1/],
    [`${models}\nmbw = "WRAP13"`, /mix\.toml: "merge\[0\]\.mbw" must be .*did you mean "WRAP12"/],
    [`${models}\nmbw = true`, /mix\.toml: "merge\[0\]\.mbw" must be/],
    [`${models}\nmbw = "GRAD_V"\nbase = "x"`, /mix\.toml: "merge\[0\]\.base" must be a number/],
  ] as const;
  for (const [text, message] of cases) {
    await writeFile(folder.join("mix.toml"), `[[merge]]\n${text}\n`);
    const { merge } = await readRecipe(folder.join("mix.toml"));
    await assert.rejects(mergeToFile(merge, { out: folder.join("out") }), (error) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});
