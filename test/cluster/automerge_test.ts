/** `tutti automerge` as a user runs it, on two of the bundled experts. @module */

import assert from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const PAIR = ["automerge", zooPath("round"), zooPath("square")];
const PARTS = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
const DATA = ["--data", "shapes", "--images", "2", "--draws-per-image", "2"];

interface LoggedTry {
  readonly weights: Readonly<Record<string, number>>;
  readonly score: number;
  readonly pictures: readonly string[];
}

/** Without what a clock decides. */
async function triesOf(home: TuttiHome, run: string): Promise<LoggedTry[]> {
  const [, ...lines] = (await readFile(home.file(run, "tries.jsonl"), "utf8")).trim().split("\n");
  return lines.map((line) => {
    const { weights, score, pictures } = JSON.parse(line);
    return { weights, score, pictures };
  });
}

testTutti(
  "tutti automerge ends no worse than it began, and a killed search goes on to the same end",
  async (home) => {
    await home.expect(0, ["zoo", "shapes", "shapes", "--count", "3"]);
    const search = async (run: string, tries: number, ...flags: readonly string[]) => {
      const args = [...PAIR, ...PARTS, ...DATA, "--run", run, "--tries", String(tries), ...flags];
      return (await home.json(args))[0]!;
    };
    const start = ["--start", "ALL_A", "--group", "12"];
    const whole = await search("whole", 14, ...start, "--out", "best.safetensors");
    const tries = await triesOf(home, "whole");
    assert.equal(tries.length, 14);
    const scores = tries.map(({ score }) => score);
    assert.equal(whole.score, Math.max(...scores));
    assert.ok((whole.score as number) > scores[0]!, "better than its start");

    await search("killed", 5, ...start);
    await appendFile(home.file("killed", "tries.jsonl"), '{"try":6,"wei');
    const resumed = await search("killed", 14, ...start, "--resume");
    const result = (
      { score, tries, isSettled, weights }: typeof whole,
    ) => [score, tries, isSettled, weights];
    assert.deepEqual(result(resumed), result(whole));
    assert.deepEqual(await triesOf(home, "killed"), tries);
    assert.equal(
      await readFile(home.file("killed", "recipe.toml"), "utf8"),
      await readFile(home.file("whole", "recipe.toml"), "utf8"),
    );

    // The checkpoint is the recipe's.
    await home.expect(0, ["merge", "--recipe", "whole/recipe.toml", "--out", "again.safetensors"]);
    assert.deepEqual(
      await readFile(home.file("best.safetensors")),
      await readFile(home.file("again.safetensors")),
    );
  },
);

testTutti("tutti automerge asks a command about pictures that it draws", async (home) => {
  // The size of a PNG: nothing anyone wants, but a number that differs between pictures.
  const scorer = ["--scorer", "wc -c <", "--prompt", PROMPT, "--steps", "2", "--start", "0.5"];
  const args = [...PAIR, ...PARTS, "--tries", "3", ...scorer, "--run", "run"];
  const { stdout, stderr } = await home.expect(0, args);
  assert.match(stdout, /^Best of 3 tries scores \d+; no tries were left$/m);
  assert.match(stderr, /Trying, best score \d+ 3\/3 100%/);
  const tries = await triesOf(home, "run");
  for (const { score, pictures } of tries) {
    assert.equal(score, (await readFile(home.file("run", pictures[0]!))).length);
    assert.equal((await readPng(home.file("run", pictures[0]!))).width, 64);
  }
  const silent = ["--scorer", "true", "--prompt", PROMPT, "--steps", "1", "--run", "silent"];
  const failed = await home.expect(1, [...PAIR, ...PARTS, ...silent]);
  assert.match(failed.stderr, /Scorer "true" gave no score: its last line must be a number/);
});

testTutti("tutti automerge tells wrong usage with 2", async (home) => {
  await writeFile(home.file("there"), "");
  const run = ["--run", "run"];
  const scorer = ["--scorer", "true", "--prompt", "x"];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[...PAIR, ...PARTS, ...DATA], /required option '--run <folder>' not specified/],
    [[...PAIR, ...run], /--data <path> or --scorer <command> .* neither is given/],
    [[...PAIR, ...run, ...DATA, ...scorer], /both are given/],
    [[...PAIR, ...run, "--scorer", "true"], /--scorer needs a --prompt/],
    [[...PAIR, ...run, ...scorer, "--out", "there"], /--out must not exist, unless --overwrite/],
    [[...PAIR, ...run, ...scorer, "--start", "HALF"], /--start must be a number, .* or a preset/],
    [[...PAIR, ...run, ...scorer], /--vae must name a VAE: ".*round" has none/],
    [[...PAIR, ...PARTS, ...run, ...scorer, "--resume"], /--resume needs tries to go on with/],
  ];
  for (const [args, message] of cases) {
    assert.match((await home.expect(2, args)).stderr, message);
  }
});
