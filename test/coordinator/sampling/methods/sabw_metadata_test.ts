import assert from "node:assert/strict";
import {
  readSabwMetadata,
  trainedOrder,
  writeSabwMetadata,
} from "../../../../coordinator/sampling/methods/sabw/sabw_metadata.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const expert = (name: string, modelHash: string) => ({ name, modelHash });
const TRAINED = {
  experts: [expert("round", "aaaaaaaaaaaaaaaa"), expert("square", "bbbbbbbbbbbbbbbb")],
  aggregatedBlocks: ["IN04", "OUT11"],
  recipe: { steps: 12 },
};

Deno.test("metadata of SABW is read as it was written; a folder without it has none", async () => {
  await using temp = await tempFolder();
  assert.equal(await readSabwMetadata(temp.path), undefined);
  await writeSabwMetadata(temp.path, TRAINED);
  assert.deepEqual(await readSabwMetadata(temp.path), TRAINED);
  for (
    const [bad, message] of [
      ["{", /format_version/],
      ['{"format_version": 2}', /current value is 2/],
      ['{"format_version": 1, "experts": [{"name": "x"}]}', /"experts" must be a list/],
      [
        '{"format_version": 1, "experts": [], "aggregated_blocks": 3}',
        /"aggregated_blocks" must be/,
      ],
    ] as const
  ) {
    await Deno.writeTextFile(temp.join("tutti.json"), bad);
    await assert.rejects(readSabwMetadata(temp.path), { name: "FormatError", message });
  }
});

Deno.test("trainedOrder() finds the trained experts wherever they are, twins too", () => {
  const here = [expert("s", "bbbbbbbbbbbbbbbb"), expert("r", "aaaaaaaaaaaaaaaa")];
  assert.deepEqual(trainedOrder("sabw", TRAINED, here), [1, 0]);
  const twins = { ...TRAINED, experts: [TRAINED.experts[0]!, TRAINED.experts[0]!] };
  assert.deepEqual(trainedOrder("sabw", twins, [here[1]!, here[1]!]), [0, 1]);
});

Deno.test("trainedOrder() names what SABW was trained with and what the ensemble has instead", () => {
  const here = [expert("r", "aaaaaaaaaaaaaaaa"), expert("other", "cccccccccccccccc")];
  assert.throws(() => trainedOrder("my/sabw", TRAINED, here), {
    name: "FormatError",
    message:
      'SABW "my/sabw" was trained with other experts: it needs "square" (bbbbbbbbbb), the ensemble has "other" (cccccccccc) instead; --force takes it in spite of that',
  });
  assert.throws(() => trainedOrder("my/sabw", TRAINED, here.slice(0, 1)), /it needs "square"/);
});
