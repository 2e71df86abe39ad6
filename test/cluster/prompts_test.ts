import assert from "node:assert/strict";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng } from "../support/zoo.ts";

interface PromptsJson {
  readonly images: readonly { readonly path: string; readonly prompt: string }[];
  readonly steps: number;
}

const OTHER = "a large red heart on a plain white background";
const FEW = ["--steps", "2", "--size", "16"];

testTutti("tutti sample --prompts draws each line as a run of its own would", async (home, t) => {
  await home.expect(0, ["up"]);
  const file = home.file("prompts.txt");
  const lines = [
    ...["# two pictures of the first, one of the second with settings of its own", PROMPT, ""],
    JSON.stringify({ prompt: OTHER, seed: 9, steps: 3, batch: 1, sampler: "euler" }),
  ];
  await Deno.writeTextFile(file, lines.join("\n"));
  const flags = [...FEW, "--seed", "5", "--batch", "2"];
  const [result] = await home.json<PromptsJson>(["sample", "--prompts", file, ...flags]);

  await t.step("names tell them apart, and the report tells which is which", () => {
    assert.deepEqual(result!.images.map(({ path, prompt }) => [path, prompt]), [
      ["out/1-a-green-heart-above-a-yellow-square-on-a-5.png", PROMPT],
      ["out/1-a-green-heart-above-a-yellow-square-on-a-6.png", PROMPT],
      ["out/2-a-large-red-heart-on-a-plain-white-9.png", OTHER],
    ]);
    assert.equal(result!.steps, 5);
  });

  await t.step("pixels are those of single runs, and so is what pictures say", async () => {
    const alone = [
      [PROMPT, ...flags, "--out", "a.png"],
      [OTHER, "--seed", "9", "--steps", "3", "--size", "16", "--sampler", "euler", ...[
        "--out",
        "b.png",
      ]],
    ];
    for (const args of alone) await home.expect(0, ["sample", ...args]);
    for (const [i, name] of ["a-1.png", "a-2.png", "b.png"].entries()) {
      const [one, many] = [home.file(name), home.file(result!.images[i]!.path)];
      const [single, drawn] = await Promise.all([one, many].map(readPng));
      assert.deepEqual(drawn, single);
    }
    const { text } = await readPng(home.file(result!.images[2]!.path));
    const { prompt, seed, steps, sampler } = parseInfotext(text.parameters!);
    assert.deepEqual([prompt, seed, steps, sampler], [OTHER, 9, 3, "Euler"]);
  });

  await t.step("a .png is numbered over all lines", async () => {
    const { stdout } = await home.expect(
      0,
      ["sample", "--prompts", file, ...flags, "--steps", "1", "--out", "p.png"],
    );
    assert.equal(stdout, "p-1.png (seed 5)\np-2.png (seed 6)\np-3.png (seed 9)\n");
  });

  await t.step("what a line asks too much is said by line before anything is drawn", async () => {
    const wrong = async (line: string, message: RegExp) => {
      await Deno.writeTextFile(file, `${OTHER}\n${line}`);
      const args = ["sample", "--prompts", file, ...FEW, "--out", "never"];
      const { stderr, stdout } = await home.expect(4, args);
      assert.match(stderr, message);
      assert.equal(stdout, "");
    };
    const asks = (settings: object) => JSON.stringify({ prompt: "x", ...settings });
    await wrong("{", /^error: Line 2 of ".*prompts\.txt" begins as a JSON object and is none/m);
    await wrong(
      asks({ method: "magicfusion", guidance: 1 }),
      /^error: Line 2 of .*: Method magic/m,
    );
    await wrong(asks({ method: "only:rond" }), /^error: Line 2 of .*did you mean "round"/m);
    await wrong(asks({ eta: 0.5, sampler: "euler" }), /^error: Line 2 of .*: eta is for samplers/m);
    const files = await Array.fromAsync(Deno.readDir(home.file("never")));
    assert.deepEqual(files, []);
  });

  await t.step("flags about a single picture contradict it", async () => {
    for (
      const flag of [["--from", "b.png"], ["--checkpoint", "c"], ["--save-latents", "l"], [PROMPT]]
    ) {
      const { stderr } = await home.expect(2, ["sample", "--prompts", file, ...flag]);
      assert.match(stderr, /--prompts contradict each other/);
    }
    await home.expect(2, ["sample"]);
  });
  await home.expect(0, ["down"]);
});
