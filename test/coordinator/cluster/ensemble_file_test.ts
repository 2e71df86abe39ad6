import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { loadEnsembleFile } from "../../../coordinator/cluster/ensemble_file.ts";
import { FormatError } from "../../../shared/errors.ts";
import { readRecipe, type Recipe } from "../../../shared/merging/recipe_file.ts";

const GOOD = `name = "shapes"
sabw = "uniform"
vae = "vae"
tokenizer = "tokenizer"

[[experts]]
name = "round"
model = "round"

[[experts]]
name = "square"
address = "[::1]:7070"
`;

/** A folder with what GOOD names, for the time of `body`. */
async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tutti-ensemble-"));
  try {
    for (const name of ["tokenizer", "round", "sabw"]) await mkdir(join(folder, name));
    for (const name of ["vae", "scheduler.json"]) await writeFile(join(folder, name), "");
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function load(folder: string, text: string) {
  const path = join(folder, "ensemble.toml");
  await writeFile(path, text);
  return await loadEnsembleFile(path);
}

Deno.test("loadEnsembleFile() returns experts in order, with absolute paths and parsed addresses", () =>
  withFolder(async (folder) => {
    const text = GOOD.replace('"uniform"', '"sabw"').replace(
      "[[experts]]",
      'scheduler = "scheduler.json"\n[[experts]]\nname = "both"\nmodel = "vae"\n' +
        'address = "gpu-2:7071"\n[[experts]]',
    );
    assert.deepEqual(await load(folder, text), {
      path: join(folder, "ensemble.toml"),
      name: "shapes",
      sabw: { kind: "trained", path: join(folder, "sabw") },
      vae: join(folder, "vae"),
      tokenizer: join(folder, "tokenizer"),
      scheduler: join(folder, "scheduler.json"),
      experts: [
        { name: "both", model: join(folder, "vae"), addresses: [{ host: "gpu-2", port: 7071 }] },
        { name: "round", model: join(folder, "round") },
        { name: "square", addresses: [{ host: "::1", port: 7070 }] },
      ],
    });
  }));

Deno.test("loadEnsembleFile() averages when the file does not name a SABW", () =>
  withFolder(async (folder) => {
    const { sabw, scheduler } = await load(folder, GOOD.replace('sabw = "uniform"\n', ""));
    assert.deepEqual([sabw, scheduler], [{ kind: "uniform" }, undefined]);
    assert.deepEqual((await load(folder, GOOD)).sabw, { kind: "uniform" });
  }));

Deno.test("loadEnsembleFile() leaves the tokenizer open when the file does not name one", () =>
  withFolder(async (folder) => {
    const { tokenizer, ...others } = await load(
      folder,
      GOOD.replace('tokenizer = "tokenizer"\n', ""),
    );
    assert.equal(tokenizer, undefined);
    assert.equal(others.vae, join(folder, "vae"));
  }));

Deno.test("loadEnsembleFile() reads LoRAs, relative to the file, in order", () =>
  withFolder(async (folder) => {
    await mkdir(join(folder, "loras"));
    for (const name of ["ink", "glow"]) await writeFile(join(folder, "loras", name), "");
    const lora = `lora = ["loras/ink:0.8", "${folder}/loras/glow:-1"]`;
    const { experts } = await load(folder, GOOD.replace('model = "round"', `$&\n${lora}`));
    assert.deepEqual(experts[0]!.loras, [
      { path: join(folder, "loras", "ink"), weight: 0.8 },
      { path: join(folder, "loras", "glow"), weight: -1 },
    ]);
    assert.ok(!("loras" in experts[1]!));
  }));

Deno.test("loadEnsembleFile() refuses LoRAs of another form, missing files, and any for running workers", () =>
  withFolder(async (folder) => {
    const list = 'must be a list of "FILE:WEIGHT", each a file that exists and a finite number';
    const cases = [
      ['lora = "vae:0.8"', `: "experts[0].lora" ${list}: current value is "vae:0.8"`],
      ["lora = [0.8]", `: "experts[0].lora" ${list}: current value is [0.8]`],
      ['lora = ["vae:strong"]', `: "experts[0].lora" ${list}: current value is ["vae:strong"]`],
      [
        'lora = ["ink:0.8"]',
        `: "experts[0].lora" ${list} ("${folder}/ink" does not exist): current value is ["ink:0.8"]`,
      ],
      [
        'lora = ["sabw:0.8"]',
        `: "experts[0].lora" ${list} ("${folder}/sabw" is no file): current value is ["sabw:0.8"]`,
      ],
    ] as const;
    const refusal = (text: string, message: string) =>
      assert.rejects(load(folder, text), {
        name: "FormatError",
        message: `${folder}/ensemble.toml${message}`,
      });
    for (const [line, message] of cases) {
      await refusal(GOOD.replace('model = "round"', `$&\n${line}`), message);
    }
    await refusal(
      `${GOOD}lora = ["vae:1"]\n`,
      ': experts[1] ("square") must have "model" or "merge" where it has "lora": a worker that runs elsewhere ' +
        'gets its LoRAs there, with "tutti worker --lora"',
    );
  }));

Deno.test("loadEnsembleFile() reads an expert that is a merge, by a recipe's path or inline", () =>
  withFolder(async (folder) => {
    const models = [`${folder}/round`, `${folder}/vae`];
    await writeFile(`${folder}/mix.toml`, '[[merge]]\nmodels = ["./round", "./vae"]\n');
    const inline = '{ models = ["./round", "./vae"], mbw = "GRAD_V", dtype = "f16" }';
    const modelOf = async (merge: string) => {
      const text = GOOD.replace('model = "round"', `merge = ${merge}`);
      return (await load(folder, text)).experts[0]!.model as Recipe;
    };
    const ofFile = await modelOf('"mix.toml"');
    assert.deepEqual([ofFile.text, ofFile.name, ofFile.dtype], [
      `${folder}/mix.toml`,
      "mix",
      undefined,
    ]);
    assert.deepEqual(ofFile.merge.models, models);
    const ofTable = await modelOf(inline);
    assert.deepEqual([ofTable.merge.method, ofTable.dtype], ["mbw", "float16"]);
    // What a worker is started with reads as the same merge in any folder.
    const again = await readRecipe(ofTable.text);
    assert.deepEqual({ ...again.merge, place: undefined }, {
      ...ofTable.merge,
      place: undefined,
      name: again.merge.name,
    });
    const cases = [
      ["3", '"experts[0].merge" must be the path of a recipe, or { models'],
      ['"none.toml"', '"experts[0].merge" must be the path of a recipe'],
      ["{ alpha = 1 }", '"experts[0].merge.models" must be a list of files or folders'],
      [
        inline.replace("mbw", "mwb"),
        '"mwb" is no known key in experts[0].merge (did you mean "mbw"?)',
      ],
      [
        '{ models = ["./round", "./none"] }',
        `"experts[0].merge" must be of models that exist ("${folder}/none" does not)`,
      ],
      [
        '"mix.toml"\nmodel = "round"',
        'experts[0] ("round") must have "model" or "merge", not both',
      ],
    ] as const;
    for (const [merge, message] of cases) {
      await assert.rejects(modelOf(merge), (error: Error) => {
        assert.equal(error.name, "FormatError");
        assert.ok(error.message.startsWith(`${folder}/ensemble.toml: ${message}`), error.message);
        return true;
      });
    }
  }));

Deno.test("loadEnsembleFile() reads settings of pictures from [defaults]", () =>
  withFolder(async (folder) => {
    assert.ok(!("defaults" in await load(folder, GOOD)));
    const table = `[defaults]
steps = 30
guidance = 5
clip_skip = 2
size = 512
seed = -1
negative = "blurry"
aggregate = ["IN04", "M00"]
`;
    const { defaults } = await load(folder, GOOD + table);
    assert.deepEqual(defaults, {
      file: join(folder, "ensemble.toml"),
      values: {
        negative: "blurry",
        clipSkip: 2,
        steps: 30,
        guidance: 5,
        size: { width: 512, height: 512 },
        aggregate: ["IN04", "M00"],
        seed: "random",
      },
    });
  }));

Deno.test("loadEnsembleFile() refuses wrong [defaults] by file, key and value", () =>
  withFolder(async (folder) => {
    const cases = [
      ["steps = 5000", '"defaults.steps" must be a whole number in 1..1000: current value is 5000'],
      ['steps = "30"', '"defaults.steps" must be a whole number in 1..1000: current value is "30"'],
      ["guidance = nan", '"defaults.guidance" must be a finite number: current value is NaN'],
      [
        'size = "768x500"',
        '"defaults.size" must be pixels as 512 or "768x512", multiples of 8 in 8..16384: ' +
        'current value is "768x500"',
      ],
      [
        'prompt_syntax = "comfy"',
        '"defaults.prompt_syntax" must be one of a1111, plain: current value is "comfy"',
      ],
      [
        "setps = 30",
        '"setps" is no known key in defaults (did you mean "steps"?): known keys are ',
      ],
      ["clipSkip = 2", '"clipSkip" is no known key in defaults (did you mean "clip_skip"?): known'],
    ] as const;
    for (const [line, message] of cases) {
      await assert.rejects(load(folder, `${GOOD}[defaults]\n${line}\n`), (error: unknown) => {
        assert.ok(error instanceof FormatError, String(error));
        const start = `${folder}/ensemble.toml: ${message}`;
        assert.equal(error.message.slice(0, start.length), start);
        return true;
      });
    }
    await assert.rejects(load(folder, `defaults = 3\n${GOOD}`), {
      message: /"defaults" must be a table, headed by \[defaults\]: current value is 3$/,
    });
  }));

Deno.test("loadEnsembleFile() reads the bundled ensemble", async () => {
  const zoo = resolve(import.meta.dirname!, "../../../shared/zoo");
  const { experts, sabw, scheduler } = await loadEnsembleFile(join(zoo, "ensemble.toml"));
  assert.deepEqual(
    experts,
    ["round", "square", "pointed"].map((name) => ({ name, model: join(zoo, name) })),
  );
  assert.deepEqual(sabw, { kind: "trained", path: join(zoo, "sabw") });
  assert.equal(scheduler, join(zoo, "scheduler", "scheduler_config.json"));
});

Deno.test("loadEnsembleFile() names file, key, value and expectation of what is wrong", () =>
  withFolder(async (folder) => {
    /** What to replace in the good file, by what, and the message after the file's path. */
    const cases: readonly (readonly [string, string, string])[] = [
      [
        '"shapes"',
        '"shapes',
        ":1:15: Ensemble file must be TOML: ",
      ],
      ["[[experts]]", "[[experts]", ":6:11: Ensemble file must be TOML: "],
      [
        "sabw =",
        "sawb =",
        ': "sawb" is no known key (did you mean "sabw"?): ' +
        "known keys are name, sabw, vae, vae_config, tokenizer, scheduler, experts",
      ],
      [
        'model = "round"',
        'modle = "round"',
        ': "modle" is no known key in experts[0] (did you mean "model"?): ' +
        "known keys are name, model, merge, config, lora, device,",
      ],
      ["sabw =", "__proto__ =", ': "__proto__" is no known key: '],
      ['name = "shapes"\n', "", ': "name" is missing: expected a name of up to 64 letters'],
      [
        '"shapes"',
        "3",
        ': "name" must be a name of up to 64 letters, digits, ".", "_" and "-"' +
        ": current value is 3",
      ],
      [
        '"shapes"',
        '"a, b"',
        ': "name" must be a name of up to 64 letters, digits, ".", "_" and ' +
        '"-": current value is "a, b"',
      ],
      ['vae = "vae"\n', "", ': "vae" is missing: expected the path of a folder or a file'],
      ['"tokenizer"', '""', ': "tokenizer" must be the path of a folder: current value is ""'],
      [
        '"tokenizer"',
        '"vae"',
        `: "tokenizer" must be the path of a folder ("${folder}/vae" is not a folder): ` +
        'current value is "vae"',
      ],
      [
        '"vae"',
        '"vea"',
        `: "vae" must be the path of a folder or a file that exists ("${folder}/vea" does not): ` +
        'current value is "vea"',
      ],
      [
        '"uniform"',
        '"unifrom"',
        ': "sabw" must be "uniform" or a folder with trained aggregators that exists ' +
        `("${folder}/unifrom" does not): current value is "unifrom"`,
      ],
      [
        '"uniform"',
        "true",
        ': "sabw" must be "uniform" or a folder with trained aggregators: ' +
        "current value is true",
      ],
      [
        'vae = "vae"',
        'vae = "vae"\nscheduler = "tokenizer"',
        `: "scheduler" must be the path of a file ("${folder}/tokenizer" is not a file): ` +
        'current value is "tokenizer"',
      ],
      [
        GOOD.slice(GOOD.indexOf("\n[[")),
        "",
        ': "experts" is missing: expected one [[experts]] or more',
      ],
      [
        GOOD.slice(GOOD.indexOf("\n[[")),
        'experts = ["round"]',
        ': "experts" must be tables, each headed by [[experts]]: current value is ["round"]',
      ],
      [
        'model = "round"\n',
        "",
        ': experts[0] ("round") must have "model" or "merge" (weights on this machine), ' +
        '"address" (a running worker) or both',
      ],
      ['name = "square"\n', "", ': "experts[1].name" is missing: '],
      [
        'name = "square"',
        'name = "round"',
        ': "experts[1].name" must be another one than that of experts[0]: current value is "round"',
      ],
      [
        'model = "round"',
        'model = "absent"',
        ': "experts[0].model" must be the path of a folder or a file that exists ' +
        `("${folder}/absent" does not): current value is "absent"`,
      ],
      [
        "[::1]:7070",
        "gpu-2",
        ': "experts[1].address" must be HOST:PORT of a worker, or a list of several workers with the same model: ' +
        'current value is "gpu-2"',
      ],
      [
        "[::1]:7070",
        "gpu-2:0",
        ': "experts[1].address" must be HOST:PORT of a worker, or a list of several workers with the same model: ' +
        'current value is "gpu-2:0"',
      ],
    ];
    for (const [from, to, message] of cases) {
      assert.ok(GOOD.includes(from), from);
      await assert.rejects(load(folder, GOOD.replace(from, to)), (error: unknown) => {
        assert.ok(error instanceof FormatError, String(error));
        const start = `${folder}/ensemble.toml${message}`;
        assert.equal(error.message.slice(0, start.length), start);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
    }
  }));

Deno.test("loadEnsembleFile() refuses what is no file, too large or no text", () =>
  withFolder(async (folder) => {
    await assert.rejects(loadEnsembleFile(join(folder, "none.toml")), (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.ok(error.message.startsWith(`Cannot read ensemble file "${folder}/none.toml": `));
      return true;
    });
    await assert.rejects(loadEnsembleFile(folder), FormatError);
    await assert.rejects(load(folder, `#${"x".repeat(2 ** 20)}`), {
      name: "FormatError",
      message:
        `Cannot read ensemble file "${folder}/ensemble.toml": it must have at most 1.0 MB: ` +
        "current size is 1.0 MB",
    });
    const path = join(folder, "latin1.toml");
    await writeFile(path, Uint8Array.of(0x23, 0xe9));
    await assert.rejects(loadEnsembleFile(path), {
      name: "FormatError",
      message: `Cannot read ensemble file "${path}": it must be UTF-8 text`,
    });
    await assert.rejects(load(folder, `x = ${"[".repeat(5000)}`), FormatError);
  }));

Deno.test("loadEnsembleFile() finds models, LoRAs and VAEs by their names, and says how to get those that are missing", () =>
  withFolder(async (folder) => {
    const commit = "0123456789abcdef0123456789abcdef01234567";
    const repository = join(folder, "models--owner--name");
    const snapshot = join(repository, "snapshots", commit);
    await mkdir(join(repository, "refs"), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(repository, "refs", "main"), commit);
    await writeFile(join(snapshot, "ink.safetensors"), "");
    const text = GOOD.replace('"vae"', '"hf:owner/name"').replace(
      'model = "round"',
      'model = "hf:owner/name/ink.safetensors"\nlora = ["hf:owner/name/ink.safetensors:0.5"]',
    );
    const former = Deno.env.get("HF_HUB_CACHE");
    Deno.env.set("HF_HUB_CACHE", folder);
    try {
      const path = join(snapshot, "ink.safetensors");
      const { vae, experts } = await load(folder, text);
      assert.equal(vae, path);
      assert.deepEqual(experts[0], { name: "round", model: path, loras: [{ path, weight: 0.5 }] });
      await assert.rejects(load(folder, text.replace('"hf:owner/name"', '"hf:owner/else@v1"')), {
        name: "FormatError",
        message:
          `${join(folder, "ensemble.toml")}: "vae": Model "hf:owner/else@v1" is not on this ` +
          "machine: get it with tutti pull hf:owner/else@v1",
      });
    } finally {
      if (former === undefined) Deno.env.delete("HF_HUB_CACHE");
      else Deno.env.set("HF_HUB_CACHE", former);
    }
  }));

Deno.test("loadEnsembleFile() reads the device of an expert's worker, and says why one cannot be chosen", () =>
  withFolder(async (folder) => {
    const on = (device: string) => GOOD.replace('model = "round"', `model = "round"\n${device}`);
    const { experts } = await load(folder, on('device = "cuda:1"'));
    assert.equal(experts[0]!.device, "cuda:1");
    await assert.rejects(load(folder, on('device = "webgpu:1"')), {
      name: "FormatError",
      message: /"experts\[0\]\.device" .*webgpu takes the adapter that the system prefers/,
    });
    await assert.rejects(load(folder, on('device = "auto"')), FormatError);
    await assert.rejects(load(folder, `${GOOD}device = "cuda"\n`), {
      message: /must have "model" or "merge" where it has "device": .* "tutti worker --device"/,
    });
  }));
