import assert from "node:assert/strict";
import { mergeBlocks } from "../../../shared/merging/block_of_key.ts";
import { parseBlockWeights, weightsForSdxl } from "../../../shared/merging/block_weights.ts";
import { PRESETS } from "../../../shared/merging/presets.ts";

const count = (n: number) => Array.from({ length: n }, (_, i) => i / 100);
const sd15 = { field: "alpha", family: "sd15" } as const;
const sdxl = { field: "alpha", family: "sdxl" } as const;

Deno.test("parseBlockWeights() takes a number for all blocks", () => {
  for (const written of [0.25, "0.25", " .25 "]) {
    const weightOf = parseBlockWeights(written, { ...sd15, base: 1 });
    for (const block of [...mergeBlocks("sd15"), "BASE"]) assert.equal(weightOf(block), 0.25);
  }
});

Deno.test("parseBlockWeights() takes 25 numbers and a base, or 26 with BASE in front", () => {
  const blocks = mergeBlocks("sd15");
  const plain = parseBlockWeights(count(25), { ...sd15, base: 0.9 });
  const withBase = parseBlockWeights([0.9, ...count(25)].join(", "), sd15);
  for (const weightOf of [plain, withBase]) {
    assert.deepEqual(blocks.map(weightOf), count(25));
    assert.equal(weightOf("BASE"), 0.9);
  }
  assert.equal(parseBlockWeights(count(25), sd15)("BASE"), 0);
});

Deno.test("parseBlockWeights() fits SD1.5's rows and presets to SDXL", () => {
  const blocks = mergeBlocks("sdxl");
  assert.equal(blocks.length, 19);
  assert.deepEqual(blocks.map(parseBlockWeights(count(19), sdxl)), count(19));
  assert.equal(parseBlockWeights([0.7, ...count(19)], sdxl)("BASE"), 0.7);
  const fitted = [...count(25).slice(0, 9), ...count(25).slice(12, 22)];
  assert.deepEqual(blocks.map(parseBlockWeights(count(25), sdxl)), fitted);
  assert.deepEqual(weightsForSdxl(count(25)), fitted);
  assert.equal(parseBlockWeights("WRAP08", sdxl)("OUT07"), 0);
  assert.equal(parseBlockWeights("WRAP08", sdxl)("IN03"), 1);
});

Deno.test("parseBlockWeights() says what does not fit", () => {
  const cases = [
    ["GRAD_W", {}, /did you mean "GRAD_V"\?/],
    ["grad_v", {}, /did you mean "GRAD_V"\?/],
    ["0.1,0.2", {}, /must have 25 numbers, or 26 with BASE in front .*: current count is 2/],
    [count(19), {}, /must have 25 numbers for SD1.5 models.*: current count is 19/],
    [count(26), { base: 0.5 }, /beside 26 numbers, of which the first is BASE/],
    [NaN, {}, /must be a finite number: current value is NaN/],
    [[...count(24), Infinity], {}, /must be finite numbers/],
    ["", {}, /must be a number, 25 or 26 numbers/],
    ["__proto__", {}, /must be a number, 25 or 26 numbers/],
  ] as const;
  for (const [written, more, message] of cases) {
    assert.throws(() => parseBlockWeights(written, { ...sd15, ...more }), message);
  }
});

Deno.test("presets have the values that supermerger lists under their names", () => {
  const at = (name: string, block: string) => PRESETS[name]![mergeBlocks("sd15").indexOf(block)]!;
  const listed = [
    ["GRAD_V", "IN01", 0.9166666667],
    ["GRAD_V", "M00", 0],
    ["GRAD_V", "OUT11", 1],
    ["GRAD_A", "OUT00", 0.9166666667],
    ["WRAP12", "IN05", 1],
    ["WRAP12", "IN06", 0],
    ["WRAP12", "OUT05", 0],
    ["WRAP12", "OUT06", 1],
    ["WRAP14", "OUT05", 1],
    ["MID12_50", "IN04", 0],
    ["MID12_50", "IN05", 0.5],
    ["MID12_50", "OUT05", 0.5],
    ["MID12_50", "OUT06", 0],
    ["OUT07", "OUT04", 0],
    ["OUT07", "OUT05", 1],
    ["OUT12_5", "M00", 0.5],
    ["RING08_SOFT", "IN09", 0.5],
    ["RING08_5", "OUT02", 1],
    ["RING10_3", "OUT01", 1],
    ["RING10_3", "OUT06", 0],
    ["SMOOTHSTEP", "IN01", 0.00506365740740741],
    ["REVERSE-SMOOTHSTEP", "IN03", 0.95703125],
    ["SMOOTHSTEP*3", "IN10", 0.871527777777778],
    ["R_SMOOTHSTEP*4", "OUT03", 0.0370370370370372],
    ["SMOOTHSTEP/3", "OUT03", 0],
    ["SMOOTHSTEP/4", "IN01", 0.0740740740740741],
    ["COSINE", "IN07", 0.80438071450436],
    ["REVERSE_COSINE", "OUT10", 0.995722430686905],
    ["TRUE_CUBIC_HERMITE", "IN00", 0],
    ["TRUE_CUBIC_HERMITE", "IN01", 0.199031876929012],
    ["TRUE_REVERSE_CUBIC_HERMITE", "OUT06", 0.508324893904322],
    ["FAKE_CUBIC_HERMITE", "OUT10", 0.842423804012347],
    ["ALL_B", "IN00", 1],
  ] as const;
  for (const [name, block, weight] of listed) {
    assert.ok(Math.abs(at(name, block) - weight) < 1e-9, `${name} at ${block}: ${at(name, block)}`);
  }
  for (const [name, weights] of Object.entries(PRESETS)) assert.equal(weights.length, 25, name);
  assert.equal(parseBlockWeights("ALL_B", sd15)("BASE"), 1);
  assert.equal(parseBlockWeights("GRAD_V", sd15)("BASE"), 0);
});
