import assert from "node:assert/strict";
import { type Candidate, checkCompatible } from "../../../coordinator/cluster/handshake.ts";
import type { ExpertDescription } from "../../../shared/engine/expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import type { BlockSpec } from "../../../shared/models/blocks.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const BASE = new AffineExpert().description;

function candidate(letter: string, changes: Partial<ExpertDescription> = {}): Candidate {
  return {
    where: `${letter}:7070`,
    description: { ...BASE, name: letter, modelHash: letter.repeat(64), ...changes },
  };
}

/** BASE's table with one block changed. */
function withBlock(id: string, changes: Partial<BlockSpec>): readonly BlockSpec[] {
  return BASE.blocks.map((block) => block.id === id ? { ...block, ...changes } : block);
}

Deno.test("checkCompatible() accepts experts that differ in weights, names and spelling of keys only", () => {
  const renamed = withBlock("IN01", { locations: ["input_blocks.1"] });
  const experts = [candidate("a"), candidate("b"), candidate("c", { blocks: renamed })];
  assert.deepEqual(checkCompatible(experts), { warnings: [] });
  assert.deepEqual(checkCompatible([candidate("a")]), { warnings: [] });
});

Deno.test("checkCompatible() refuses a difference, naming field, both values and both workers", () => {
  const text = { ...BASE.texts[0]! };
  const cases: [Partial<ExpertDescription>, string, string, string][] = [
    [{ family: "sdxl" }, "family", '"sd15"', '"sdxl"'],
    [{ latentChannels: 16 }, "latentChannels", "4", "16"],
    [{ timeEmbedDim: 1280 }, "timeEmbedDim", "16", "1280"],
    [{ crossAttentionDim: 768 }, "crossAttentionDim", "6", "768"],
    [{ texts: [{ ...text, vocabSize: 49408 }] }, "texts[0].vocabSize", "100", "49408"],
    [{ texts: [{ ...text, maxLength: 77 }] }, "texts[0].maxLength", "7", "77"],
    [{ blocks: withBlock("IN04", { outChannels: 9 }) }, "blocks.IN04.outChannels", "8", "9"],
    [
      { blocks: withBlock("OUT00", { skipFrom: "IN10" }) },
      "blocks.OUT00.skipFrom",
      '"IN11"',
      '"IN10"',
    ],
    [{ blocks: withBlock("M00", { skipFrom: "IN11" }) }, "blocks.M00.skipFrom", "none", '"IN11"'],
    [
      { blocks: withBlock("OUT02", { upsamples: false }) },
      "blocks.OUT02.upsamples",
      "true",
      "false",
    ],
    [{ blocks: withBlock("IN02", { id: "X" }) }, "blocks[2].id", '"IN02"', '"X"'],
    [{ blocks: BASE.blocks.slice(0, 19) }, "blocks.length", "25", "19"],
  ];
  for (const [changes, field, firstValue, secondValue] of cases) {
    const experts = [candidate("a"), candidate("b"), candidate("c", changes)];
    assert.throws(() => checkCompatible(experts), (error) => {
      assert.ok(error instanceof TuttiError);
      assert.equal(error.code, "FAILED_PRECONDITION");
      const details = { field, first: "a:7070", firstValue, second: "c:7070", secondValue };
      assert.deepEqual({ ...error.details }, details);
      for (const value of Object.values(details)) assert.ok(error.message.includes(value), value);
      return true;
    });
  }
});

Deno.test("checkCompatible() lets experts that may differ have blocks and widths of their own, and says what differs", () => {
  const text = { ...BASE.texts[0]! };
  const own: readonly (readonly [Partial<ExpertDescription>, RegExp])[] = [
    [{ timeEmbedDim: 1280 }, /must agree in timeEmbedDim: 16 at a:7070/],
    [{ crossAttentionDim: 768 }, /crossAttentionDim: 6 .* 768 at c:7070/],
    [{ blocks: withBlock("IN04", { outChannels: 9 }) }, /blocks.IN04.outChannels/],
    [{ blocks: BASE.blocks.slice(0, 19) }, /blocks.length: 25 .* 19/],
  ];
  for (const [changes, message] of own) {
    const experts = [candidate("a"), candidate("b"), candidate("c", changes)];
    const { featuresDiffer } = checkCompatible(experts, { mayDiffer: true });
    assert.match(featuresDiffer!.message, message);
  }
  const common: readonly Partial<ExpertDescription>[] = [
    { family: "sdxl" },
    { latentChannels: 16 },
    { texts: [{ ...text, vocabSize: 49408 }] },
    { texts: [{ ...text, maxLength: 77 }] },
  ];
  for (const changes of common) {
    // Also behind a difference that is allowed.
    const experts = [candidate("a"), candidate("b", { timeEmbedDim: 8, ...changes })];
    assert.throws(() => checkCompatible(experts, { mayDiffer: true }), {
      message: new RegExp(`must agree in ${Object.keys(changes)[0]}`),
    });
  }
  assert.deepEqual(checkCompatible([candidate("a"), candidate("b")], { mayDiffer: true }), {
    warnings: [],
  });
});

Deno.test("checkCompatible() names the first of several differences", () => {
  const blocks = withBlock("IN00", { outChannels: 5 });
  const other = candidate("b", { latentChannels: 16, blocks });
  assert.throws(() => checkCompatible([candidate("a"), other]), /agree in latentChannels/);
});

Deno.test("checkCompatible() warns of a duplicate and of another training size", () => {
  const { warnings } = checkCompatible([
    candidate("a"),
    candidate("b", { sampleSize: 96 }),
    { ...candidate("a"), where: "d:7070" },
  ]);
  assert.equal(warnings.length, 2);
  assert.match(warnings[0]!, /d:7070 has the same weights as the one at a:7070/);
  assert.match(warnings[1]!, /b:7070 was trained at 96 latent pixels, the one at a:7070 at 8/);
});

Deno.test("checkCompatible() needs an expert", () => {
  assert.throws(() => checkCompatible([]), { code: "INVALID_ARGUMENT" });
});
