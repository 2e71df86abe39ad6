import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import type { PngImage } from "../../coordinator/image/png.ts";
import type { BlockStats } from "../../coordinator/cli/sample_stats.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { toFloat32 } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { testTutti } from "../support/run_tutti.ts";
import { PROMPT, readPng } from "../support/zoo.ts";

/** Largest difference of two pictures' channels, in 1/255. */
function farthest(a: PngImage, b: PngImage): number {
  assert.equal(a.rgb.length, b.rgb.length);
  return a.rgb.reduce((most, value, i) => Math.max(most, Math.abs(value - b.rgb[i]!)), 0);
}

testTutti("tutti sample obeys its flags", async (home, t) => {
  await home.expect(0, ["up"]);

  /** Draws one picture in two steps. */
  let count = 0;
  async function draw(...flags: string[]): Promise<PngImage> {
    const out = `picture-${++count}.png`;
    await home.expect(0, ["sample", PROMPT, "--steps", "2", "--out", out, ...flags]);
    return await readPng(home.file(out));
  }
  const five = await draw("--seed", "5");

  await t.step("--seed: the same one is the same picture, another one another", async () => {
    const [again, six] = [await draw("--seed", "5"), await draw("--seed", "6")];
    assert.deepEqual(again.rgb, five.rgb);
    assert.ok(farthest(six, five) > 50);
  });

  await t.step("--batch 2 draws the pictures of this seed and the next", async () => {
    const { stdout } = await home.expect(
      0,
      ["sample", PROMPT, "--steps", "2", "--seed", "5", "--batch", "2"],
    );
    assert.equal(stdout, "out/tutti-5.png (seed 5)\nout/tutti-6.png (seed 6)\n");
    const batch = [
      await readPng(home.file("out/tutti-5.png")),
      await readPng(home.file("out/tutti-6.png")),
    ];
    const singles = [five, await readPng(home.file("picture-3.png"))];
    for (const [i, picture] of batch.entries()) {
      assert.ok(farthest(picture, singles[i]!) <= 1);
      assert.equal(parseInfotext(picture.text.parameters!).seed, 5 + i);
    }
  });

  await t.step("--waves 2 draws the same picture", async () => {
    assert.ok(farthest(await draw("--seed", "5", "--waves", "2"), five) <= 1);
  });

  await t.step("--init-latents with torch's noise of a seed is --seed", async () => {
    const noise = new TorchCpuGenerator(5n).randn([1, 4, 8, 8]);
    await writeSafetensors(home.file("noise.safetensors"), { latents: noise });
    const flags = ["--init-latents", "noise.safetensors", "--save-latents", "end.safetensors"];
    assert.deepEqual((await draw(...flags)).rgb, five.rgb);

    const end = await SafetensorsFile.open(home.file("end.safetensors"));
    assert.deepEqual([...end.entries.keys()], ["latents"]);
    const latents = toFloat32(await end.read("latents"));
    assert.deepEqual(latents.shape, [1, 4, 8, 8]);
    assert.ok(latents.data.every(Number.isFinite));
    assert.notDeepEqual(latents.data, noise.data);
    // Images that are there are told of, before what went wrong.
    const args = ["sample", PROMPT, "--steps", "1", "--out", "told.png"];
    const failed = await home.expect(1, [...args, "--save-latents", "nowhere/end.safetensors"]);
    assert.match(failed.stdout, /^told\.png \(seed \d+\)$/m);
    assert.match(failed.stderr, /^error: .*nowhere\/end\.safetensors/m);
    // What was saved is a start as good as any.
    const { rgb } = await draw("--init-latents", "end.safetensors");
    assert.notDeepEqual(rgb, five.rgb);
  });

  await t.step("--guidance and --negative: without guidance nothing is avoided", async () => {
    const plain = await draw("--seed", "5", "--guidance", "1");
    assert.ok(farthest(plain, five) > 20);
    const negative = ["--seed", "5", "--negative", "a purple ring on a plain white background"];
    assert.deepEqual((await draw(...negative, "--guidance", "1")).rgb, plain.rgb);
    const avoided = await draw(...negative);
    assert.ok(farthest(avoided, five) > 20);
    const { negativePrompt, cfgScale } = parseInfotext(avoided.text.parameters!);
    assert.deepEqual([negativePrompt, cfgScale], [negative.at(-1), 7]);
  });

  await t.step("--out: a .png is replaced, in a folder nothing is", async () => {
    assert.deepEqual(await readdir(home.file("out")), ["tutti-5.png", "tutti-6.png"]);
    const seed = ["--steps", "1", "--seed", "5", "--size", "16"];
    const sample = (...flags: string[]) => home.expect(0, ["sample", PROMPT, ...seed, ...flags]);
    assert.equal((await sample()).stdout, "out/tutti-5-2.png (seed 5)\n");
    assert.equal((await readPng(home.file("out/tutti-5.png"))).width, 64);
    assert.equal((await readPng(home.file("out/tutti-5-2.png"))).width, 16);
    await sample("--out", "picture-1.png");
    assert.equal((await readPng(home.file("picture-1.png"))).width, 16);
    const { stdout } = await sample("--out", "new/folder/a.PNG", "--batch", "2");
    assert.equal(stdout, "new/folder/a-1.PNG (seed 5)\nnew/folder/a-2.PNG (seed 6)\n");
    assert.deepEqual((await readdir(home.file("new/folder"))).sort(), ["a-1.PNG", "a-2.PNG"]);
  });

  await t.step("--size is width x height, --stats a row per block", async () => {
    const { stdout } = await home.expect(0, [
      ...["sample", PROMPT, "--steps", "2", "--seed", "5"],
      ...["--size", "64x96", "--stats", "--out", "wide.png"],
    ]);
    const { width, height, text } = await readPng(home.file("wide.png"));
    assert.deepEqual([width, height], [64, 96]);
    assert.deepEqual(
      [parseInfotext(text.parameters!).width, parseInfotext(text.parameters!).height],
      [64, 96],
    );
    const lines = stdout.split("\n");
    assert.equal(lines[0], "Means of 2 steps:");
    assert.match(
      lines[1]!,
      /^block +compute ms +queue ms +load ms +wire ms +aggregate ms +sent +received$/,
    );
    const rows = lines.slice(2, lines.indexOf("")).map((line) => line.split(/ +/)[0]);
    assert.deepEqual([rows.length, rows[0], rows[24], rows[25]], [27, "IN00", "OUT11", "step"]);
    assert.equal(lines[28], "Planes: round shm, square shm, pointed shm");
  });

  await t.step("--stats --json: every block's times and bytes", async () => {
    const [line] = await home.json<{ steps: number; stats: BlockStats[] }>(
      ["sample", PROMPT, "--steps", "2", "--stats", "--size", "64x96"],
    );
    assert.equal(line!.stats.length, 25);
    const [first] = line!.stats;
    // Three experts, both guidance halves, 12 x 8 latent pixels of 4 channels in and 32 out.
    const pixels = 3 * 2 * 12 * 8;
    const { block, sentBytes, receivedBytes } = first!;
    assert.deepEqual([block, sentBytes, receivedBytes], ["IN00", pixels * 16, pixels * 128]);
    for (const { computeMs, queueMs, wireMs, aggregateMs } of line!.stats) {
      assert.ok(computeMs > 0 && queueMs >= 0 && wireMs > 0 && aggregateMs > 0);
    }
  });

  await t.step(
    "a seed is drawn if none is given, and the largest one is written exactly",
    async () => {
      const seeds = await Promise.all([1, 2].map(async () => {
        const { text } = await draw("--steps", "1", "--size", "8");
        return parseInfotext(text.parameters!).seed;
      }));
      assert.notEqual(seeds[0], seeds[1]);
      const { text } = await draw("--steps", "1", "--size", "8", "--seed", `${2n ** 64n - 1n}`);
      assert.match(text.parameters!, / Seed: 18446744073709551615,/);
      assert.equal(JSON.parse(text.tutti!).seed, "18446744073709551615");
    },
  );

  await t.step("a plain prompt that is too long is cut, and the warning says where", async () => {
    const prompt = `${PROMPT}, ${"red ".repeat(30)}and a blue star`;
    const { stderr } = await home.expect(0, [
      ...["sample", prompt, "--prompt-syntax", "plain", "--steps", "1", "--size", "8"],
    ]);
    assert.match(
      stderr,
      /^warning: Prompt is longer than the 22 tokens that .* cut was ".*red and a blue star"$/m,
    );
  });

  await home.expect(0, ["down"]);
});
