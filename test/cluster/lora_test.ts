import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { parseInfotext } from "../../coordinator/image/infotext.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { kohyaTensors, randomLayer, writeLora } from "../support/lora_files.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const SAMPLE = ["sample", PROMPT, "--steps", "2", "--seed", "5"];

interface OwnMetadata {
  readonly experts: readonly {
    readonly name: string;
    readonly modelHash: string;
    readonly loras: readonly { readonly name: string; readonly weight: number }[];
  }[];
}

/** A LoRA that every bundled expert can take. */
async function writeInk(home: TuttiHome): Promise<string> {
  const layers = await Promise.all(
    ["down_blocks.0.attentions.0", "mid_block.attentions.0", "up_blocks.2.attentions.1"].map(
      (path, seed) =>
        randomLayer(zooPath("round"), "unet", `${path}.transformer_blocks.0.attn2.to_out.0`, {
          seed,
        }),
    ),
  );
  return await writeLora(home.file("ink.safetensors"), kohyaTensors(layers));
}

/** The ensemble of the first two bundled experts, with more lines for the first one. */
async function writeEnsemble(home: TuttiHome, name: string, lines: string): Promise<string> {
  const text =
    `name = "${name}"\nvae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n` +
    `[[experts]]\nname = "round"\nmodel = "${zooPath("round")}"\n${lines}\n` +
    `[[experts]]\nname = "square"\nmodel = "${zooPath("square")}"\n`;
  await writeFile(home.file(`${name}.toml`), text);
  return `${name}.toml`;
}

testTutti(
  "tutti sample --lora draws another picture, and writes which LoRA it was",
  async (home) => {
    const ink = await writeInk(home);
    const ensemble = ["--ensemble", await writeEnsemble(home, "two", "")];
    const draw = async (out: string, ...flags: string[]) => {
      await home.expect(0, [...SAMPLE, ...ensemble, "--out", out, ...flags]);
      return await readPng(home.file(out));
    };
    const plain = await draw("plain.png");
    const inked = await draw("ink.png", "--lora", "round=ink.safetensors:2");
    assert.notDeepEqual(inked.rgb, plain.rgb);
    assert.equal(parseInfotext(plain.text.parameters!).extra["Lora hashes"], undefined);

    // As stable-diffusion-webui computes it: SHA-256 of the file without its header.
    const { entries } = await SafetensorsFile.open(ink);
    const dataStart = Math.min(...[...entries.values()].map(({ begin }) => begin));
    const digest = createHash("sha256").update((await readFile(ink)).subarray(dataStart)).digest(
      "hex",
    );
    const { extra } = parseInfotext(inked.text.parameters!);
    assert.equal(extra["Lora hashes"], `ink: ${digest.slice(0, 12)}`);

    const [before, after] = [plain, inked].map((picture) =>
      (JSON.parse(picture.text.tutti!) as OwnMetadata).experts
    );
    assert.deepEqual(after!.map(({ loras }) => loras), [
      [{ name: "ink", hash: digest, weight: 2 }],
      [],
    ]);
    assert.notEqual(after![0]!.modelHash, before![0]!.modelHash);
    assert.equal(after![1]!.modelHash, before![1]!.modelHash);

    // The ensemble file says the same in another place.
    const file = await writeEnsemble(home, "inked", 'lora = ["ink.safetensors:2"]');
    await home.expect(0, [...SAMPLE, "--ensemble", file, "--out", "file.png"]);
    const fromFile = await readPng(home.file("file.png"));
    assert.deepEqual(fromFile.rgb, inked.rgb);
    const off = await draw("off.png", "--lora", "round=ink.safetensors:0");
    assert.deepEqual(off.rgb, plain.rgb);
    assert.equal(parseInfotext(off.text.parameters!).extra["Lora hashes"], undefined);
  },
);

testTutti(
  "LoRAs of running workers are theirs: found where they match, refused where not",
  async (home, t) => {
    await writeInk(home);
    const file = await writeEnsemble(home, "inked", 'lora = ["ink.safetensors:2"]');
    const workers = await home.json<{ name: string; address: string }>(["up", file]);
    const [round, square] = workers.map(({ address }) => address);

    await t.step("sample finds the workers that up started with the same LoRAs", async () => {
      const { stderr } = await home.expect(0, [...SAMPLE, "--ensemble", file]);
      assert.doesNotMatch(stderr, /Starting a worker/);
      assert.equal((await home.json(["up", file])).length, 2);
      assert.equal((await home.workers()).length, 2);
    });

    await t.step("another weight is refused with the step that helps", async () => {
      const flags = ["--ensemble", file, "--lora", "round=ink.safetensors:1"];
      const { stderr } = await home.expect(1, [...SAMPLE, ...flags]);
      assert.match(
        stderr,
        /Expert "round" runs at 127\.0\.0\.1:\d+ with LoRA \/.*ink\.safetensors:2, and a running worker cannot change that: stop it with "tutti down inked" first/,
      );
    });

    await t.step(
      "up refuses an ensemble that asks for other LoRAs of a running expert",
      async () => {
        const { stderr } = await home.expect(1, ["up", await writeEnsemble(home, "plain", "")]);
        assert.match(stderr, /Expert "round" runs at .*: stop it with "tutti down inked" first/);
      },
    );

    await t.step("--workers: what they run with shows, and cannot be asked for", async () => {
      const shared = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
      const flags = ["--workers", `${round},${square}`, ...shared, "--out", "workers.png"];
      await home.expect(0, [...SAMPLE, ...flags]);
      const { extra } = parseInfotext((await readPng(home.file("workers.png"))).text.parameters!);
      assert.match(extra["Lora hashes"]!, /^ink: [0-9a-f]{12}$/);
      await home.expect(0, [...SAMPLE, ...flags, "--lora", `${round}=ink.safetensors:2`]);
      const { stderr } = await home.expect(1, [
        ...SAMPLE,
        ...flags,
        ...["--lora", `${square}=ink.safetensors:2`],
      ]);
      assert.match(
        stderr,
        /Expert "127\.0\.0\.1:\d+" runs at 127\.0\.0\.1:\d+ with no LoRA, and a running worker cannot change that: start that worker again with "--lora .*ink\.safetensors:2"/,
      );
    });
    await home.expect(0, ["down"]);
  },
);

testTutti(
  "tutti sample --lora refuses unknown experts, other forms and files that are no LoRA",
  async (home) => {
    const ensemble = ["--ensemble", await writeEnsemble(home, "two", "")];
    await writeLora(home.file("other.safetensors"), {
      ...kohyaTensors([{
        ...await randomLayer(zooPath("round"), "unet", "mid_block.attentions.0.proj_in"),
        path: "mid_block.attentions.7.proj_in",
      }]),
    });
    const cases: [string, number, RegExp][] = [
      ["ink.safetensors:1", 2, /--lora must be EXPERT=FILE:WEIGHT/],
      ["rond=ink.safetensors:1", 2, /current name is "rond" \(did you mean "round"\?\)/],
      [
        "round=ink.safetensors:1",
        4,
        /Worker "round" did not start: .*ink\.safetensors" must exist/,
      ],
      [
        "round=other.safetensors:1",
        4,
        /does not fit "round": 1 unknown \(lora_unet_mid_block_attentions_7_proj_in\)/,
      ],
    ];
    for (const [flag, code, message] of cases) {
      const { stderr } = await home.expect(code, [...SAMPLE, ...ensemble, "--lora", flag]);
      assert.match(stderr, message);
    }
  },
);
