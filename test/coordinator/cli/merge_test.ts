/** `tutti merge` as a user runs it. @module */

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../support/goldens.ts";
import { inTurns } from "../../support/in_turns.ts";
import { testTutti } from "../../support/run_tutti.ts";
import { IN00, writeSmallModel } from "../../shared/merging/small_model.ts";

const golden = (name: string) => goldenPath("eval", "merging", `${name}.safetensors`);
const [A, B, C] = [golden("a"), golden("b"), golden("c")];

testTutti("tutti merge writes a checkpoint and says what it took", async (home) => {
  const args = ["merge", A, B, "--weights", "0.65,0.35", "--out", "c.safetensors"];
  const { stdout, stderr } = await home.expect(0, args);
  assert.match(
    stdout,
    /^c\.safetensors: SD1\.5, 768\.\d kB, 965 tensors merged, 5 of the first model alone, 1 of others\n/,
  );
  assert.match(
    stdout,
    /Merged in .* \([0-9.]+ [kMG]B\/s\), hashed in .*; peak memory [0-9.]+ MB\n$/,
  );
  assert.match(stderr, /Merging c\.safetensors \(MB\)/);
  const expected = await SafetensorsFile.open(golden("weighted_sum"));
  const merged = await SafetensorsFile.open(home.file("c.safetensors"));
  for (const name of expected.entries.keys()) {
    assert.deepEqual(await merged.read(name), await expected.read(name), name);
  }
});

testTutti(
  "tutti merge --json, by flags and by recipe: the same file but for its recipe",
  async (home) => {
    await writeFile(
      home.file("mix.toml"),
      `[[merge]]\nmodels = ["${A}", "${B}", "${C}"]\nmbw = ["GRAD_V", "FLAT_25"]\nbase = 0.5\n`,
    );
    const rows = ["--mbw", "GRAD_V", "--mbw", "FLAT_25", "--base", "0.5"];
    const runs = [
      [A, B, C, ...rows, "--out", "flags.safetensors"],
      ["--recipe", "mix.toml", "--out", "recipe.safetensors"],
    ];
    const reports = await Promise.all(runs.map(async (args) => {
      const [report] = await home.json(["merge", ...args, "--dtype", "bf16"]);
      return report!;
    }));
    for (const { method, sizeBytes, merged, peakMemoryBytes, bytesPerSecond } of reports) {
      assert.deepEqual([method, merged, sizeBytes], ["mbw", 965, reports[0]!.sizeBytes]);
      assert.ok((peakMemoryBytes as number) > 1e7 && (bytesPerSecond as number) > 0);
    }
    const [flags, recipe] = await Promise.all(
      ["flags", "recipe"].map((name) => SafetensorsFile.open(home.file(`${name}.safetensors`))),
    );
    assert.deepEqual(flags!.metadata, recipe!.metadata);
    assert.deepEqual(
      await flags!.readMany(flags!.entries.keys()),
      await recipe!.readMany(flags!.entries.keys()),
    );
  },
);

testTutti(
  "tutti merge tells wrong usage with 2, naming the flag, and writes nothing",
  async (home) => {
    await writeFile(home.file("mix.toml"), `[[merge]]\nmodels = ["${A}", "${B}"]\n`);
    await writeFile(home.file("there"), "");
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[A, B], /required option '--out <file>' not specified/],
      [["--out", "o"], /<models> must be 2 or more for this method: current count is 0/],
      [
        [A, B, "--out", "o", "--method", "slrp"],
        /--method must be one of .* \(did you mean "slerp"\?\)/,
      ],
      [[A, B, "--out", "o", "--mbw", "GRAD_X"], /--mbw must be .* \(did you mean "GRAD_[VA]"\?\)/],
      [
        [A, B, C, "--out", "o", "--mbw", "GRAD_V"],
        /--mbw must have one row for each model after the first/,
      ],
      [
        [A, B, "--out", "o", "--weights", "0.5"],
        /--weights must have one number for each of the 2 models/,
      ],
      [
        [A, B, "--out", "o", "--weights", "0.5,0.6"],
        /--weights must sum to 1: current sum is 1\.1/,
      ],
      [
        [A, B, "--out", "o", "--weights", "0.5,x"],
        /--weights must be a number: current value is "x"/,
      ],
      [[A, B, "--out", "o", "--alpha", "0.5"], /--alpha must not be given, .* it has weights/],
      [
        [A, B, "--out", "o", "--method", "weighted-sum", "--alpha", "1,2"],
        /--alpha must have 25 numbers/,
      ],
      [[A, B, "--out", "o", "--dtype", "f8"], /Allowed choices are f32, f16, bf16/],
      [[A, B, "--out", "there"], /--out must not exist, unless "overwrite" is set/],
      [[A, B, "--out", A, "--overwrite"], /--out must be another file than the inputs/],
      [["--recipe", "mix.toml", "--out", "mix.toml", "--overwrite"], /--out must be another file/],
      [
        ["--recipe", "mix.toml", "--out", "o", "--beta", "1"],
        /--beta must not be given beside --recipe/,
      ],
      [
        ["--recipe", "mix.toml", "--out", "o", A],
        /".*a\.safetensors" must not be given beside --recipe/,
      ],
    ];
    const before = await readFile(A);
    await inTurns(cases, async ([args, message]) => {
      const { stderr } = await home.expect(2, ["merge", ...args]);
      assert.match(stderr, message);
    });
    assert.deepEqual(await readFile(A), before);
    assert.deepEqual((await readdir(home.file())).sort(), ["mix.toml", "there"]);
  },
);

testTutti("tutti merge ends with 4 for files that it cannot merge", async (home) => {
  const a = await writeSmallModel(home.file("a.safetensors"), { [IN00]: [1] });
  await writeSmallModel(home.file("xl.safetensors"), { [IN00]: [1] }, { family: "sdxl" });
  await writeSmallModel(home.file("wide.safetensors"), { [IN00]: f32([1, 2]) });
  await writeFile(home.file("hole.toml"), '[[merge]]\nmodels = ["look", "a.safetensors"]\n');
  await writeFile(
    home.file("circle.toml"),
    '[[merge]]\nmodels = ["circle.toml", "a.safetensors"]\n',
  );
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[a, "none.safetensors"], /"none\.safetensors" must exist/],
    [[a, goldenPath("sd15")], /Cannot read config ".*unet\/config\.json"/],
    [[a, "xl.safetensors"], /must be of one family .* is SD1\.5, "xl\.safetensors" is SDXL/],
    [[a, "wide.safetensors"], /Tensor ".*input_blocks\.0\.0\.weight" must have the same shape/],
    [[a, "hole.toml"], /"hole\.toml"/],
    [["--recipe", "hole.toml"], /"merge\[0\]\.models" must be .*"look" is none of them/],
    [["--recipe", "circle.toml"], /must not use its own result/],
    [["--recipe", "none.toml"], /Cannot read recipe/],
  ];
  await inTurns(cases, async ([args, message]) => {
    const { stderr } = await home.expect(4, ["merge", ...args, "--out", "o"]);
    assert.match(stderr, message);
  });
  assert.ok(!(await readdir(home.file())).some((name) => name.startsWith("o")));
});

testTutti("tutti merge leaves nothing behind when the disk is full", async (home) => {
  // A limit on the size of files in 1024 bytes, less than the result has: writes fail as on a full disk.
  const script = `trap "" XFSZ; ulimit -f 300; exec "$@"`;
  const program = home.startProgram("bash", [
    ...["-c", script, "bash", Deno.execPath(), "run", "-q", "-A", "--no-code-cache"],
    ...[new URL("../../../main.ts", import.meta.url).pathname, "merge", A, B, "--out", "o"],
  ]);
  const { code, stderr } = await program.result;
  assert.equal(code, 1, stderr);
  assert.match(stderr, /error: Cannot write "o": .*File too large/);
  assert.deepEqual(await readdir(home.file()), []);
});

testTutti("tutti merge cancelled with Ctrl-C: exit code 130, and no file is left", async (home) => {
  const numbers = new Float32Array(2 ** 24);
  const a = await writeSmallModel(home.file("a.safetensors"), { [IN00]: f32([2 ** 24], numbers) });
  const running = home.start([
    "merge",
    "--method",
    "ties",
    a,
    a,
    a,
    "--density",
    "0.5",
    "--out",
    "o",
  ]);
  await running.says(/Merging o \(MB\)/);
  running.kill("SIGINT");
  const { code, stderr } = await running.result;
  assert.equal(code, 130, stderr);
  assert.deepEqual(await readdir(home.file()), ["a.safetensors"]);
});
