/** Experts that are merges: no file of them is written, and what they draw is what the file draws. @module */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { EXIT } from "../../shared/errors.ts";
import { IN00, writeSmallModel } from "../shared/merging/small_model.ts";
import { LONG_LIVED_MS, testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

const [ROUND, SQUARE, POINTED] = ["round", "square", "pointed"].map((name) => zooPath(name));
const PARTS = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
const MODELS = `models = ["${ROUND}", "${SQUARE}", "${POINTED}"]`;
const MERGE = `mbw = ["GRAD_V", "FLAT_25"]`;

async function startWorker(home: TuttiHome, ...flags: readonly string[]) {
  const worker = home.start(
    ["worker", ...flags, "--listen", "127.0.0.1:0", "--threads", "1", "--json"],
    { timeoutMs: LONG_LIVED_MS },
  );
  const [line] = await worker.says(/^\{"version":1,"event":"ready".*\}$/m);
  const { address, modelHash, name } = JSON.parse(line!) as Record<string, string>;
  return { worker, address: address!, modelHash: modelHash!, name };
}

testTutti("tutti worker --merge draws the very latents of the merged file", async (home) => {
  await writeFile(home.file("mix.toml"), `dtype = "f16"\n[[merge]]\n${MODELS}\n${MERGE}\n`);
  await home.expect(0, ["merge", "--recipe", "mix.toml", "--out", "mix.safetensors"]);
  const draw = async (...flags: readonly string[]) => {
    const args = ["sample", PROMPT, "--steps", "2", "--seed", "3", "--out", "picture.png"];
    const result = await home.run([...args, "--save-latents", "latents.safetensors", ...flags]);
    assert.equal(result.code, 0, result.stderr);
    const file = await SafetensorsFile.open(home.file("latents.safetensors"));
    return await file.readMany(file.entries.keys());
  };
  const inline = `{ ${MODELS}, ${MERGE}, dtype = "f16" }`;
  const [merged, twin, other, file] = await Promise.all([
    startWorker(home, "--merge", "mix.toml"),
    startWorker(home, "--merge", inline, "--name", "mix"),
    startWorker(home, "--merge", inline.replace("FLAT_25", "FLAT_50")),
    startWorker(home, "--model", "mix.safetensors", "--config", ROUND!),
  ]);
  assert.deepEqual([merged!.name, other!.name], ["mix", "round+square+pointed"]);
  assert.equal(merged!.modelHash, twin!.modelHash);
  assert.equal(new Set([merged!, other!, file!].map(({ modelHash }) => modelHash)).size, 3);

  const expected = await draw("--workers", file!.address, ...PARTS);
  assert.deepEqual(await draw("--workers", merged!.address, ...PARTS), expected);
  const replicas = `${merged!.address}+${twin!.address}`;
  assert.deepEqual(await draw("--workers", replicas, ...PARTS), expected);
  const mixed = await home.run([
    ...["sample", PROMPT, "--steps", "1", "--workers", `${merged!.address}+${other!.address}`],
    ...PARTS,
  ]);
  assert.match(mixed.stderr, /is no replica of expert .*: modelHash must be/);
  for (const { worker } of [merged!, twin!, other!, file!]) {
    worker.kill("SIGINT");
    await worker.result;
  }

  await writeFile(
    home.file("one.toml"),
    `name = "one"\nvae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n` +
      `[[experts]]\nname = "mix"\nmerge = ${inline}\n`,
  );
  assert.deepEqual(await draw("--ensemble", "one.toml"), expected);
});

testTutti("tutti up leaves a merge running, and tutti sample finds it", async (home) => {
  await writeFile(home.file("mix.toml"), `[[merge]]\n${MODELS}\n${MERGE}\n`);
  const ensemble = (merge: string) =>
    writeFile(
      home.file("one.toml"),
      `name = "one"\nvae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n` +
        `[[experts]]\nname = "mix"\nmerge = ${merge}\n`,
    );
  await ensemble('"mix.toml"');
  const { stdout } = await home.expect(0, ["up", "one.toml"]);
  assert.match(stdout, /mix +127\.0\.0\.1:\d+ +\d+ +started +merge [0-9a-f]{64}/);
  // Another recipe with the same result.
  await ensemble(`{ ${MODELS}, ${MERGE} }`);
  const sample = ["sample", PROMPT, "--steps", "1", "--ensemble", "one.toml", "--out", "a.png"];
  assert.doesNotMatch((await home.expect(0, sample)).stderr, /Starting a worker/);
  await ensemble(`{ ${MODELS}, mbw = ["GRAD_V", "FLAT_50"] }`);
  assert.match((await home.expect(0, sample)).stderr, /Starting a worker for mix/);
  await home.expect(0, ["down"]);
});

testTutti("tutti worker names what is wrong with a merge", async (home) => {
  await writeFile(home.file("hole.toml"), '[[merge]]\nmodels = ["look", "./b"]\n');
  await writeSmallModel(home.file("xl.safetensors"), { [IN00]: [1] }, { family: "sdxl" });
  await writeFile(home.file("circle.toml"), '[[merge]]\nmodels = ["./circle.toml", "./b"]\n');
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[], EXIT.usage, /--model <path> or --merge <recipe> must say .* neither is given/],
    [["--model", ROUND!, "--merge", "mix.toml"], EXIT.usage, /both are given/],
    [["--merge", "none.toml"], EXIT.badInput, /Cannot read recipe ".*none\.toml"/],
    [["--merge", "hole.toml"], EXIT.badInput, /"merge\[0\]\.models" must be .*"look" is none/],
    [["--merge", "circle.toml"], EXIT.badInput, /must not use its own result/],
    [["--merge", "{ models = [1"], EXIT.badInput, /--merge:1:\d+: Recipe must be TOML/],
    [["--merge", "{ alpha = 1 }"], EXIT.badInput, /--merge: "merge\.models" must be/],
    [
      ["--merge", `{ models = ["${ROUND}", "./none"] }`],
      EXIT.badInput,
      /file ".*\/none" must exist/,
    ],
    [
      ["--merge", `{ models = ["${ROUND}", "${SQUARE}"], method = "slurp" }`],
      EXIT.badInput,
      /--merge: "merge\.method" must be one of .* \(did you mean "slerp"\?\)/,
    ],
    [
      ["--merge", `{ models = ["${ROUND}", "${SQUARE}"], dtype = "f17" }`],
      EXIT.badInput,
      /--merge: "merge\.dtype" must be one of f32, f16, bf16: current value is "f17"/,
    ],
    [
      ["--merge", `{ models = ["${ROUND}", "xl.safetensors"] }`],
      EXIT.badInput,
      /must be of one family to be merged: .* is SD1\.5, ".*xl\.safetensors" is SDXL/,
    ],
    [
      ["--merge", `{ models = ["${ROUND}"] }`],
      EXIT.badInput,
      /--merge: "merge\.models" must be 2 or more for this method: current count is 1/,
    ],
  ];
  for (const [flags, code, message] of cases) {
    const { stderr } = await home.expect(code, ["worker", ...flags, "--listen", "127.0.0.1:0"]);
    assert.match(stderr, message);
  }
});
