import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const FILE = `name = "one"
vae = "${zooPath("vae")}"
tokenizer = "${zooPath("tokenizer")}"

[[experts]]
name = "round"
model = "${zooPath("round")}"

[defaults]
steps = 2
guidance = 3
size = "16x8"
seed = 11
`;

testTutti(
  "tutti sample takes what no flag says from the ensemble file's [defaults]",
  async (home, t) => {
    const args = ["sample", PROMPT, "--ensemble", "one.toml"];
    await writeFile(home.file("one.toml"), FILE);
    await home.expect(0, ["up", "one.toml"]);
    async function draw(out: string, ...flags: string[]) {
      await home.expect(0, [...args, "--out", out, ...flags]);
      const { width, height, rgb, text } = await readPng(home.file(out));
      const { steps, guidanceScale, seed } = JSON.parse(text.tutti!);
      return { facts: { width, height, steps, guidanceScale, seed }, rgb };
    }

    await t.step("and a flag wins, under any of its spellings", async () => {
      const usual = await draw("usual.png");
      const expected = { width: 16, height: 8, steps: 2, guidanceScale: 3, seed: "11" };
      assert.deepEqual(usual.facts, expected);
      const other = await draw("other.png", "--cfg-scale", "4", "--width", "8", "--height", "8");
      assert.deepEqual(other.facts, { ...expected, width: 8, guidanceScale: 4 });
      const same = await draw("same.png", "--steps", "2", "--guidance", "3", "--size", "16x8");
      assert.deepEqual(same.rgb, usual.rgb);
    });

    await t.step("the user's own tutti.toml says what neither does", async () => {
      const folder = join(home.env.XDG_CONFIG_HOME!, "tutti");
      const file = join(folder, "tutti.toml");
      await mkdir(folder, { recursive: true });
      await writeFile(file, '[defaults]\nsteps = 9\nnegative = "blurry"\n');
      await draw("user.png", "--guidance", "2");
      const { tutti } = (await readPng(home.file("user.png"))).text;
      const { steps, guidanceScale, negativePrompt } = JSON.parse(tutti!);
      assert.deepEqual([steps, guidanceScale, negativePrompt], [2, 2, "blurry"]);
      await writeFile(file, "[defaults]\nstep = 9\n");
      const { stderr } = await home.expect(4, args);
      assert.match(
        stderr,
        /tutti\.toml: "step" is no known key in defaults \(did you mean "steps"\?\)/,
      );
      await rm(folder, { recursive: true });
    });

    await t.step("--seed -1 is random, whatever the file says", async () => {
      const { facts } = await draw("random.png", "--seed", "-1", "--steps", "1");
      assert.match(facts.seed, /^\d+$/);
      assert.notEqual(facts.seed, "11");
    });

    await t.step("what a worker or its model refuses is said of the file", async () => {
      const cases = [
        ["clip_skip = 99", "clip_skip", /is beyond what a worker takes: .* in 1\.\.2, .* 99$/m],
        ['wire_dtype = "f16,OUT99=int8"', "wire_dtype", /must name blocks among .* "OUT99"$/m],
      ] as const;
      for (const [line, key, problem] of cases) {
        await writeFile(home.file("one.toml"), `${FILE}${line}\n`);
        const { stderr } = await home.expect(4, args);
        assert.ok(stderr.includes(`error: ${home.file("one.toml")}: "defaults.${key}" `), stderr);
        assert.match(stderr, problem);
      }
      const { stderr } = await home.expect(2, [...args, "--wire-dtype", "f16,OUT99=int8"]);
      assert.match(stderr, /^error: --wire-dtype must name blocks among /m);
    });

    await t.step("a wrong value ends with 4, and names file and key", async () => {
      await writeFile(home.file("one.toml"), FILE.replace("steps = 2", "steps = 0"));
      const { stderr } = await home.expect(4, args);
      assert.match(
        stderr,
        /one\.toml: "defaults\.steps" must be a whole number in 1\.\.1000: .* 0$/m,
      );
      await writeFile(home.file("one.toml"), FILE);
      await home.expect(0, ["down"]);
    });
  },
);
