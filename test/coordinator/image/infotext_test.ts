import assert from "node:assert/strict";
import {
  formatInfotext,
  type Infotext,
  parseInfotext,
} from "../../../coordinator/image/infotext.ts";
import { FormatError } from "../../../shared/errors.ts";
import { assertGrowsLinearly } from "../../support/growth.ts";

const INFO: Infotext = {
  prompt: "a green heart above a yellow square",
  negativePrompt: "striped",
  steps: 25,
  sampler: "DDIM",
  cfgScale: 7.5,
  seed: 4294967301,
  width: 64,
  height: 72,
  modelName: "Tutti(3)",
  modelHash: "6ce0161689",
  extra: {},
};

/** A seeded stream of numbers in 0..1 (mulberry32). */
function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const AWKWARD = [
  "a heart",
  ",",
  ", ",
  ":",
  '"',
  "\\",
  "\\n",
  "\\u0041",
  "'",
  "\n",
  "\n\n",
  " Negative prompt: ",
  "Negative prompt",
  "Steps: 20, Sampler: Euler a, CFG scale: 7",
  "512x512",
  "(masterpiece:1.3)",
  "<lora:x:1>",
  "💚",
  "👩‍🚀",
  "é",
  "心",
  "\u2028",
  "\t",
  " ",
  "{}",
  "null",
  "0",
];

function awkward(random: () => number): string {
  const count = Math.floor(random() * 9);
  return Array.from({ length: count }, () => AWKWARD[Math.floor(random() * AWKWARD.length)]!)
    .join("");
}

/** Removes what the form cannot carry, line by line. */
function carried(prompt: string): string {
  return prompt.split("\n").map((line) => {
    const trimmed = line.trim();
    return trimmed.startsWith("Negative prompt:") ? `x ${trimmed}` : trimmed;
  }).join("\n").replace(/^\n+/, "");
}

function awkwardInfo(random: () => number, clean: (prompt: string) => string): Infotext {
  return {
    prompt: clean(awkward(random)),
    negativePrompt: clean(awkward(random)),
    steps: 1 + Math.floor(random() * 1000),
    sampler: awkward(random),
    cfgScale: Math.floor(random() * 300) / 10,
    seed: Math.floor(random() * 2 ** 53),
    width: 8 * Math.ceil(random() * 256),
    height: 8 * Math.ceil(random() * 256),
    modelName: awkward(random),
    modelHash: "0f1e2d3c4b",
    ...(random() < 0.5 ? { vaeHash: "00aa11bb22" } : {}),
    ...(random() < 0.5 ? { clipSkip: 2 } : {}),
    extra: { "Tutti models": awkward(random), __proto__x: awkward(random) },
  };
}

Deno.test("formatInfotext() writes prompt, negative prompt and fields in the webui's form", () => {
  const extra = {
    "Tutti models": "round 6ce0161689, square 12ab34cd56",
    "Tutti SABW": "uniform",
    "Tutti version": "0.1.0",
  };
  assert.equal(
    formatInfotext({ ...INFO, modelHash: "6ce01616890123", vaeHash: "aabbccddeeff", extra }),
    "a green heart above a yellow square\n" +
      "Negative prompt: striped\n" +
      "Steps: 25, Sampler: DDIM, CFG scale: 7.5, Seed: 4294967301, Size: 64x72, " +
      "Model hash: 6ce0161689, Model: Tutti(3), VAE hash: aabbccddee, " +
      'Tutti models: "round 6ce0161689, square 12ab34cd56", Tutti SABW: uniform, ' +
      "Tutti version: 0.1.0",
  );
});

Deno.test("formatInfotext() writes Clip skip where it is more than 1, before its own fields", () => {
  const text = formatInfotext({ ...INFO, clipSkip: 2, extra: { RNG: "CPU" } });
  assert.ok(text.endsWith(", Model: Tutti(3), Clip skip: 2, RNG: CPU"), text);
  assert.equal(formatInfotext({ ...INFO, clipSkip: 1 }), formatInfotext(INFO));
});

Deno.test("formatInfotext() leaves the line of an empty negative prompt out", () => {
  assert.equal(
    formatInfotext({ ...INFO, negativePrompt: "" }).split("\n")[1]?.slice(0, 9),
    "Steps: 25",
  );
  assert.ok(formatInfotext({ ...INFO, prompt: "", negativePrompt: "" }).startsWith("Steps: 25"));
});

Deno.test("formatInfotext() quotes values with a comma, colon or line break, as JSON", () => {
  const text = formatInfotext({ ...INFO, extra: { Note: 'say "é":\n💚' } });
  assert.ok(text.endsWith(String.raw`, Note: "say \"é\":\n💚"`), text);
});

Deno.test("formatInfotext() refuses extra keys that a reader would not find again", () => {
  for (const key of ["", "a", "Seed", "a:b", "a,b", "-ab", "a\nb", "k".repeat(101)]) {
    assert.throws(() => formatInfotext({ ...INFO, extra: { [key]: "x" } }), FormatError, key);
  }
});

Deno.test("parseInfotext() returns what formatInfotext() was given, for 500 awkward ones", () => {
  const random = generator(1);
  for (let i = 0; i < 500; i++) {
    const info = awkwardInfo(random, carried);
    assert.deepEqual(parseInfotext(formatInfotext(info)), info);
  }
});

Deno.test("parseInfotext() returns all but the prompts whatever the prompts hold", () => {
  const random = generator(2);
  for (let i = 0; i < 500; i++) {
    const info = awkwardInfo(random, (prompt) => prompt);
    const { prompt: _, negativePrompt: __, ...fields } = parseInfotext(formatInfotext(info));
    const { prompt: ___, negativePrompt: ____, ...expected } = info;
    assert.deepEqual(fields, expected);
  }
});

Deno.test("the infotext form loses white space around lines and empty lines at the beginning", () => {
  const { prompt, negativePrompt } = parseInfotext(
    formatInfotext({ ...INFO, prompt: "\n\n a \r\n\n b\t\n", negativePrompt: "\n c " }),
  );
  assert.deepEqual([prompt, negativePrompt], ["a\n\nb\n", "c"]);
});

Deno.test('the infotext form moves prompt lines from "Negative prompt:" on to the negative prompt', () => {
  const { prompt, negativePrompt } = parseInfotext(
    formatInfotext({ ...INFO, prompt: "a\nNegative prompt: b\nc", negativePrompt: "d" }),
  );
  assert.deepEqual([prompt, negativePrompt], ["a", "b\nc\nd"]);
});

Deno.test("parseInfotext() reads the infotext of the webui", () => {
  assert.deepEqual(
    parseInfotext(
      "(cat:1.2), <lora:add: 1>\nNegative prompt: dog,\nbird\n" +
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.0, Seed: 1, " +
        'Size: 512x768, Model hash: 6ce0161689, Model: v1-5, Lora hashes: "a: 12ab, b: 34cd", ' +
        "Hires resize: 1024x1536, Größe/1: groß, Version: v1.10.1",
    ),
    {
      prompt: "(cat:1.2), <lora:add: 1>",
      negativePrompt: "dog,\nbird",
      steps: 20,
      sampler: "Euler a",
      cfgScale: 7,
      seed: 1,
      width: 512,
      height: 768,
      modelHash: "6ce0161689",
      modelName: "v1-5",
      extra: {
        "Schedule type": "Karras",
        "Lora hashes": "a: 12ab, b: 34cd",
        "Hires resize": "1024x1536",
        "Größe/1": "groß",
        "Version": "v1.10.1",
      },
    },
  );
});

Deno.test("parseInfotext() takes text without three pairs in its last line as prompt", () => {
  for (const prompt of ["", "a cat", "a\nSteps: 20, Seed: 1", "time: 12:30, at noon"]) {
    assert.deepEqual(parseInfotext(prompt), { prompt, negativePrompt: "", extra: {} });
  }
});

Deno.test("parseInfotext() keeps a value that only looks quoted, and a key named __proto__", () => {
  const { extra } = parseInfotext('Steps: 1, Seed: 2, Note: "a\\x", __proto__: 5');
  assert.deepEqual(Object.entries(extra), [["Note", '"a\\x"'], ["__proto__", "5"]]);
});

Deno.test("parseInfotext() refuses standard fields that are no numbers, naming them", () => {
  assert.throws(() => parseInfotext("Steps: many, Sampler: a, Seed: 1"), {
    name: "FormatError",
    message: 'Infotext field "Steps" must be a number: current value is "many"',
  });
  assert.throws(() => parseInfotext("Steps: 1, Size: big, Seed: 1"), {
    name: "FormatError",
    message: 'Infotext field "Size" must be WIDTHxHEIGHT: current value is "big"',
  });
});

Deno.test("parseInfotext() reads long hostile lines in linear time", () => {
  for (const unit of ["a", " ", "a: ", 'aa:"', '"\\', "a:\\,"]) {
    const work = (length: number) => void parseInfotext(unit.repeat(length));
    assertGrowsLinearly(work, { length: 2_000, name: unit });
  }
});
