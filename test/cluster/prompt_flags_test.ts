import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import type { PngImage } from "../../coordinator/image/png.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const SAMPLE = ["--steps", "2", "--seed", "5"] as const;

testTutti("tutti sample reads prompts as its flags say", async (home, t) => {
  await home.expect(0, ["up"]);
  let count = 0;
  async function draw(
    prompt: string,
    ...flags: string[]
  ): Promise<{ readonly picture: PngImage; readonly stderr: string }> {
    const out = `picture-${++count}.png`;
    const { stderr } = await home.expect(0, ["sample", prompt, ...SAMPLE, "--out", out, ...flags]);
    return { picture: await readPng(home.file(out)), stderr };
  }
  const { picture: usual } = await draw(PROMPT);

  await t.step(
    "a prompt without special characters is the same picture in both syntaxes",
    async () => {
      const { picture, stderr } = await draw(PROMPT, "--prompt-syntax", "plain");
      assert.deepEqual(picture.rgb, usual.rgb);
      assert.doesNotMatch(stderr, /warning/);
      for (const { text } of [usual, picture]) {
        const { clipSkip, extra } = parseInfotext(text.parameters!);
        assert.deepEqual([clipSkip, extra.Emphasis], [undefined, undefined]);
      }
    },
  );

  await t.step("weights count in a1111, and are text in plain", async () => {
    const weighted = PROMPT.replace("heart", "(heart:1.4)");
    const { picture } = await draw(weighted);
    assert.notDeepEqual(picture.rgb, usual.rgb);
    assert.deepEqual((await draw(PROMPT.replace("heart", "(heart:1.0)"))).picture.rgb, usual.rgb);
    const { picture: plain } = await draw(weighted, "--prompt-syntax", "plain");
    assert.notDeepEqual(plain.rgb, picture.rgb);
    assert.equal(parseInfotext(picture.text.parameters!).prompt, weighted);
    assert.equal(parseInfotext(plain.text.parameters!).extra.Emphasis, "None");
    assert.equal(JSON.parse(plain.text.tutti!).promptSyntax, "plain");
  });

  await t.step("a long prompt and a longer negative one go on in further chunks", async () => {
    const long = `${PROMPT}, ${"green ".repeat(12)}`;
    const { picture, stderr } = await draw(long, "--negative", "red circle ".repeat(25));
    assert.doesNotMatch(stderr, /warning/);
    assert.notDeepEqual(picture.rgb, usual.rgb);
    const { picture: broken } = await draw(`${PROMPT} BREAK a blue star`);
    assert.notDeepEqual(broken.rgb, usual.rgb);
  });

  await t.step(
    "a prompt of more chunks than a worker takes is refused with the limit",
    async () => {
      const { stderr } = await home.expect(2, ["sample", "a BREAK ".repeat(60), ...SAMPLE]);
      assert.match(
        stderr,
        /^error: Prompt must have at most \d+ chunks of \d+ tokens: current length is 60 chunks$/m,
      );
    },
  );

  await t.step("--clip-skip 2 is another picture, and its infotext says so", async () => {
    const { picture } = await draw(PROMPT, "--clip-skip", "2");
    assert.notDeepEqual(picture.rgb, usual.rgb);
    assert.match(picture.text.parameters!, /, Clip skip: 2, /);
    assert.equal(JSON.parse(picture.text.tutti!).clipSkip, 2);
    const { stderr } = await home.expect(2, ["sample", PROMPT, ...SAMPLE, "--clip-skip", "3"]);
    assert.match(
      stderr,
      /^error: --clip-skip is beyond .*clip_skip must be a whole number in 1\.\.2.*value is 3$/m,
    );
  });

  await t.step("a LoRA in the prompt is named in a warning and leaves no trace", async () => {
    const { picture, stderr } = await draw(`${PROMPT} <lora:detail:0.8>`);
    assert.match(stderr, /^warning: Prompt: ignored "<lora:detail:0\.8>": .*--lora$/m);
    assert.deepEqual(picture.rgb, usual.rgb);
  });

  await t.step("wrong values are wrong usage", async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["--prompt-syntax", "a111"],
        /must be one of a1111, plain: .* "a111" \(did you mean "a1111"/,
      ],
      [["--clip-skip", "0"], /--clip-skip must be a whole number in 1\.\.100: .* "0"/],
      [["(heart:9999)"], /Weight of "heart" in the prompt must lie in -1000\.\.1000/],
    ];
    for (const [flags, message] of cases) {
      const prompt = flags[0]!.startsWith("--") ? [PROMPT] : [];
      const { stderr } = await home.expect(2, ["sample", ...prompt, ...flags, ...SAMPLE]);
      assert.match(stderr, message);
    }
  });

  await home.expect(0, ["down"]);
});

/** An ensemble of one bundled expert that names no tokenizer, in a folder of its own. */
async function writeEnsemble(home: TuttiHome): Promise<void> {
  for (const path of ["round/unet", "round/text_encoder"]) {
    await mkdir(home.file(path), { recursive: true });
    const weights = path.endsWith("unet") ? "diffusion_pytorch_model" : "model";
    for (const file of ["config.json", `${weights}.safetensors`]) {
      await copyFile(zooPath(path, file), home.file(path, file));
    }
  }
  const vae = `vae = "${zooPath("vae")}"`;
  const text = `name = "one"\n${vae}\n[[experts]]\nname = "round"\nmodel = "round"\n`;
  await writeFile(home.file("one.toml"), text);
}

testTutti("tutti sample finds a tokenizer that nobody named", async (home, t) => {
  await writeEnsemble(home);
  const args = ["sample", PROMPT, "--ensemble", "one.toml", "--steps", "1", "--size", "8"];
  const putTokenizer = async (folder: string) => {
    await mkdir(folder, { recursive: true });
    for (const file of ["vocab.json", "merges.txt", "tokenizer_config.json"]) {
      await copyFile(zooPath("tokenizer", file), join(folder, file));
    }
  };

  await t.step(
    "CLIP's own is refused for an expert of other words, naming the next step",
    async () => {
      const { stderr } = await home.expect(4, args);
      assert.match(stderr, /Using CLIP's own tokenizer/);
      assert.match(
        stderr,
        /^error: CLIP's own tokenizer does not belong to expert .*round.*: vocabSize must be at most \d+: current value is 49408; name the expert's own with --tokenizer$/m,
      );
    },
  );

  await t.step("beside the model", async () => {
    const folder = home.file("round", "tokenizer");
    await putTokenizer(folder);
    const { stderr } = await home.expect(0, args);
    assert.ok(stderr.includes(`Using the tokenizer in ${folder}\n`), stderr);
  });

  await t.step("--tokenizer wins", async () => {
    const named = ["--tokenizer", zooPath("tokenizer")];
    const { stderr } = await home.expect(0, [...args, ...named]);
    assert.doesNotMatch(stderr, /Using .*tokenizer/);
  });
});
