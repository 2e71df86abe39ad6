import assert from "node:assert/strict";
import {
  readSabwMetadata,
  writeSabwMetadata,
} from "../../../../coordinator/sampling/methods/sabw/sabw_metadata.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const TRAINED = {
  experts: [
    { name: "round", modelHash: "aaaaaaaaaaaaaaaa" },
    { name: "square", modelHash: "bbbbbbbbbbbbbbbb", weightsHash: "cccccccccccccccc" },
  ],
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
