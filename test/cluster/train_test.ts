import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { kohyaTensors, randomLayer, writeLora } from "../support/lora_files.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { readPng, zooPath } from "../support/zoo.ts";

/** An ensemble of two of the bundled experts. */
async function writeEnsemble(home: TuttiHome, name: string, experts: readonly string[]) {
  const tables = experts.map((expert) =>
    `[[experts]]\nname = "${expert}"\nmodel = "${zooPath(expert)}"\n`
  );
  const shared = `vae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n`;
  await writeFile(home.file(name), `name = "pair"\n${shared}${tables.join("")}`);
}

const SMALL = ["--hidden-size", "8", "--layers", "1", "--heads", "2", "--aggregate", "noise"];
const TRAIN = [
  ...["train", "--local", "--ensemble", "pair.toml", "--data", "shapes/captions.jsonl"],
  ...["--steps", "4", "--batch", "2", "--lr", "0.01", "--hold-out", "2"],
  ...["--draws-per-image", "1", "--evaluate-every", "2", "--checkpoint-every", "1", ...SMALL],
];

testTutti(
  "tutti train survives an interruption, and what it trained knows its experts",
  async (home, t) => {
    await writeEnsemble(home, "pair.toml", ["round", "square"]);
    await home.expect(0, ["zoo", "shapes", "shapes", "--count", "8"]);
    await writeFile(home.file("shapes/broken.png"), "no picture");
    const captions = await readFile(home.file("shapes/captions.jsonl"), "utf8");
    const broken = JSON.stringify({ image_file: "broken.png", text: "a red circle" });
    await writeFile(home.file("shapes/captions.jsonl"), `${broken}\n${captions}`);

    const events = await home.json([...TRAIN, "--out", "whole"]);
    const [data, start, ...rest] = events;
    assert.deepEqual([data!.images, data!.heldOut, data!.latents], [6, 2, "mean"]);
    assert.match(JSON.stringify(data!.skipped), /broken\.png.*Image must be PNG/);
    const report = JSON.parse(await readFile(home.file("whole/report.json"), "utf8"));
    assert.deepEqual(report.skipped, data!.skipped);
    assert.equal(start!.event, "heldOut");
    const done = rest.at(-1)!;
    assert.equal(done.event, "done");
    const comparisons = done.comparisons as { name: string; loss: number }[];
    assert.deepEqual(comparisons.map(({ name }) => name), [
      ...["SABW", "averaging block by block", "averaging the noise"],
      ...["round alone", "square alone"],
    ]);
    assert.ok(Math.abs(comparisons[2]!.loss / (start!.loss as number) - 1) < 1e-4);
    assert.match(await readFile(home.file("whole/loss.svg"), "utf8"), /^<svg /);

    await t.step("through workers it ends with the same weights", async () => {
      // Blocks behind the first aggregation give gradients, each on its worker.
      const one = TRAIN.filter((arg) => arg !== "--local" && arg !== "noise");
      const short = [...one, "OUT10", "--steps", "1", "--evaluate-every", "1"];
      await home.json([...short, "--out", "apart"]);
      await home.json([...short, "--local", "--out", "here"]);
      const trained = "sabw/aggregator_23/aggregator.safetensors";
      const [apart, here] = await Promise.all(
        ["apart", "here"].map((out) => readFile(home.file(`${out}/${trained}`))),
      );
      assert.ok(apart!.equals(here!));
    });

    await t.step("killed and resumed it ends with the same weights", async () => {
      const killed = home.start([...TRAIN, "--out", "cut", "--json"]);
      await killed.says(/"event":"checkpoint","step":2/);
      killed.kill("SIGKILL");
      await killed.result;
      await home.expect(2, [...TRAIN, "--out", "cut"]);
      const other = [...TRAIN, "--out", "cut", "--resume", "--batch", "3"];
      const { stderr } = await home.expect(4, other);
      assert.match(stderr, /"batch" must be 2 as in step-000000\d: current value is 3/);
      // Other rounding on the way is other numbers.
      const inWorkers = TRAIN.filter((flag) => flag !== "--local");
      const rounded = [...inWorkers, "--out", "cut", "--resume", "--gradient-dtype", "bf16"];
      assert.match((await home.expect(4, rounded)).stderr, /"wire" must be .*gradients bf16/);
      const resumed = await home.json([...TRAIN, "--out", "cut", "--resume"]);
      assert.ok(!resumed.some(({ event, step }) => event === "step" && step === 1));
      for (const name of await readdir(home.file("whole/sabw"))) {
        const file = name.startsWith("aggregator_") ? `${name}/aggregator.safetensors` : name;
        const [one, two] = await Promise.all(
          ["whole", "cut"].map((run) => readFile(home.file(run, "sabw", file))),
        );
        assert.ok(one!.equals(two!), file);
      }
    });

    const draw = ["sample", "a red circle", "--steps", "2", "--seed", "1", "--out", "a.png"];
    const pixels = async (...flags: string[]) => {
      await home.expect(0, [...draw, "--sabw", "whole/sabw", ...flags]);
      return await readPng(home.file("a.png"));
    };

    await t.step("it samples as it was trained, in the order of its experts", async () => {
      const trained = await pixels("--ensemble", "pair.toml");
      const facts = JSON.parse(trained.text.tutti!);
      assert.equal(facts.aggregatedBlocks, "noise");
      await writeEnsemble(home, "turned.toml", ["square", "round"]);
      const turned = await pixels("--ensemble", "turned.toml");
      assert.deepEqual(turned.rgb, trained.rgb);
      assert.notDeepEqual(
        (await pixels("--ensemble", "pair.toml", "--aggregate", "all")).rgb,
        trained.rgb,
      );
    });

    await t.step(
      "it is compared with what needs no training, the best of each block too",
      async () => {
        const data = ["--data", "shapes", "--images", "2", "--draws-per-image", "1", "--greedy"];
        const compare = ["compare", "--local", "--ensemble", "pair.toml", ...data];
        const [result] = await home.json([...compare, "--sabw", "whole/sabw"]);
        const { comparisons, bestOfBlocks } = result as {
          comparisons: { name: string; loss: number; difference?: unknown }[];
          bestOfBlocks: Record<string, string>;
        };
        const lossOf = new Map(comparisons.map(({ name, loss }) => [name, loss]));
        assert.deepEqual([...lossOf.keys()].slice(3), [
          ...["round alone", "square alone", "best expert of each block"],
        ]);
        const greedy = lossOf.get("best expert of each block")!;
        assert.ok(greedy <= Math.min(lossOf.get("round alone")!, lossOf.get("square alone")!));
        assert.equal(Object.keys(bestOfBlocks).length, 25);
        const { stderr } = await home.expect(2, compare);
        assert.match(stderr, /no trained SABW to compare/);
      },
    );

    await t.step("it knows its experts in other files, and takes them with a LoRA", async () => {
      const file = home.file("whole/sabw/tutti.json");
      const json = await readFile(file, "utf8");
      // As if it had been trained with other files of the same weights.
      const hashes = JSON.parse(json).experts.map((expert: Record<string, string>) =>
        expert.model_hash
      );
      await writeFile(file, json.replace(`"model_hash": "${hashes[0]}"`, `"model_hash": "0"`));
      const here = [...draw, "--sabw", "whole/sabw", "--ensemble", "pair.toml"];
      assert.doesNotMatch((await home.expect(0, here)).stderr, /trained with/);
      await writeFile(file, json);

      const layer = await randomLayer(zooPath("round"), "unet", "mid_block.resnets.0.conv1");
      await writeLora(home.file("ink.safetensors"), kohyaTensors([layer]));
      const { stderr } = await home.expect(0, [...here, "--lora", "round=ink.safetensors:0.5"]);
      assert.match(
        stderr,
        /warning: SABW ".+" was trained with "round" as it is in its files: "round" has LoRAs or is a merge of it/,
      );
    });

    await t.step("other experts are refused by name, unless forced", async () => {
      await writeEnsemble(home, "other.toml", ["round", "pointed"]);
      const others = [...draw, "--sabw", "whole/sabw", "--ensemble", "other.toml"];
      const { stderr } = await home.expect(4, others);
      assert.match(
        stderr,
        /needs "square" \(.{10}\), the ensemble has "pointed" \(.{10}\) instead/,
      );
      const forced = await home.expect(0, [...others, "--force"]);
      assert.match(forced.stderr, /warning: SABW ".+" was trained with other experts than these/);
    });
  },
);

testTutti("data that is not there is told before any worker starts", async (home) => {
  for (const command of [["train", "--out", "run"], ["screen"]]) {
    const { stderr } = await home.expect(4, [...command, "--data", home.file("nothing")]);
    assert.match(stderr, /Training data "\S+\/nothing" must exist/);
    assert.doesNotMatch(stderr, /worker|Device/i);
  }
});

testTutti("tutti screen tells headroom and each expert's loss", async (home) => {
  await writeEnsemble(home, "pair.toml", ["round", "square"]);
  await home.expect(0, ["zoo", "shapes", "shapes", "--count", "4"]);
  const flags = ["--local", "--ensemble", "pair.toml", "--data", "shapes/captions.jsonl"];
  const [result] = await home.json(["screen", ...flags, "--timesteps", "1", "--draws", "3"]);
  const { headroomPercent, router, experts } = result as {
    headroomPercent: number;
    router: number;
    experts: { name: string; loss: number; wins: number }[];
  };
  assert.deepEqual(experts.map(({ name }) => name), ["round", "square"]);
  const best = Math.min(...experts.map(({ loss }) => loss));
  assert.ok(Math.abs(headroomPercent - 100 * (1 - router / best)) < 1e-9);
  assert.ok(experts.every(({ loss }) => loss > 0 && loss < 1));
});
