import assert from "node:assert/strict";
import {
  type Candidate,
  trainedOrder,
} from "../../../../coordinator/sampling/methods/sabw/trained_order.ts";

const trained = (
  ...experts: readonly { name: string; modelHash: string; weightsHash?: string }[]
) => ({
  experts,
  aggregatedBlocks: "all" as const,
  recipe: {},
});
const ROUND = { name: "round", modelHash: "aaaaaaaaaaaaaaaa" };
const SQUARE = { name: "square", modelHash: "bbbbbbbbbbbbbbbb" };
const TRAINED = trained(ROUND, SQUARE);

/** An expert that counts how often its weights are hashed. */
class Here implements Candidate {
  hashed = 0;
  constructor(
    readonly name: string,
    readonly modelHash: string,
    readonly baseHashes: readonly string[] = [],
    readonly weights?: { readonly weightsHash: string; readonly baseWeightsHash: string },
  ) {}

  weightsHashes() {
    this.hashed++;
    return Promise.resolve(this.weights);
  }
}

Deno.test("trainedOrder() finds the trained experts wherever they are, twins too, and hashes no weights", async () => {
  const here = [new Here("s", SQUARE.modelHash), new Here("r", ROUND.modelHash)];
  const both = trained({ ...ROUND, weightsHash: "x" }, SQUARE);
  assert.deepEqual(await trainedOrder("sabw", both, here), { order: [1, 0], warnings: [] });
  const twins = [here[1]!, here[1]!];
  assert.deepEqual((await trainedOrder("sabw", trained(ROUND, ROUND), twins)).order, [0, 1]);
  assert.deepEqual(here.map(({ hashed }) => hashed), [0, 0]);
});

Deno.test("trainedOrder() knows the same weights in other files", async () => {
  const weights = { weightsHash: "w", baseWeightsHash: "w" };
  const here = [
    new Here("r", ROUND.modelHash),
    new Here("s", "dddddddddddddddd", [], weights),
  ];
  const known = trained({ ...SQUARE, weightsHash: "w" }, ROUND);
  assert.deepEqual(await trainedOrder("sabw", known, here), { order: [1, 0], warnings: [] });
  // Those of an earlier version do not say it, and those of another model are refused.
  await assert.rejects(trainedOrder("sabw", TRAINED, here), { name: "FormatError" });
  const other = trained({ ...SQUARE, weightsHash: "v" }, ROUND);
  await assert.rejects(trainedOrder("sabw", other, here), { name: "FormatError" });
  const mute = { name: "s", modelHash: "dddddddddddddddd" };
  await assert.rejects(trainedOrder("sabw", known, [here[0]!, mute]), { name: "FormatError" });
});

Deno.test("trainedOrder() takes a trained expert with LoRAs or in a merge, and says so", async () => {
  const weights = { weightsHash: "with", baseWeightsHash: "w" };
  const warnings = [
    'SABW "sabw" was trained with "square" as it is in its files: "s" has LoRAs or is a merge of it',
  ];
  const round = new Here("r", ROUND.modelHash);
  const merged = new Here("s", "dddddddddddddddd", ["eeee", SQUARE.modelHash], weights);
  assert.deepEqual(await trainedOrder("sabw", TRAINED, [merged, round]), {
    order: [1, 0],
    warnings,
  });
  const inOtherFiles = new Here("s", "dddddddddddddddd", ["eeee"], weights);
  const known = trained(ROUND, { ...SQUARE, weightsHash: "w" });
  assert.deepEqual(await trainedOrder("sabw", known, [inOtherFiles, round]), {
    order: [1, 0],
    warnings,
  });
  // The one without LoRAs is the better one, and a LoRA that SABW was trained with is part of it.
  await assert.rejects(trainedOrder("sabw", TRAINED, [merged, round, round]), /other experts/);
  const plain = new Here("s", "eeee");
  await assert.rejects(
    trainedOrder("sabw", trained({ ...SQUARE, modelHash: "dddddddddddddddd" }), [plain]),
    /other experts/,
  );
});

Deno.test("trainedOrder() names what SABW was trained with and what the ensemble has instead", async () => {
  const here = [new Here("r", ROUND.modelHash), new Here("other", "cccccccccccccccc")];
  await assert.rejects(trainedOrder("my/sabw", TRAINED, here), {
    name: "FormatError",
    message:
      'SABW "my/sabw" was trained with other experts: it needs "square" (bbbbbbbbbb), the ensemble has "other" (cccccccccc) instead; --force takes it in spite of that',
  });
  await assert.rejects(
    trainedOrder("my/sabw", TRAINED, here.slice(0, 1)),
    /it needs "square"/,
  );
});
