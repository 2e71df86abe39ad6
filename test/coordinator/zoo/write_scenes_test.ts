import assert from "node:assert/strict";
import { writeScenes } from "../../../coordinator/zoo/write_scenes.ts";
import { readRecords } from "../../../coordinator/training/dataset/records.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("writeScenes() that is interrupted leaves no captions of other pictures", async () => {
  await using temp = await tempFolder();
  const options = { count: 3, size: 64, seed: 1n };
  await writeScenes(temp.path, options);
  assert.equal((await readRecords(temp.path)).records.length, 3);
  const signal = AbortSignal.abort();
  await assert.rejects(writeScenes(temp.path, { ...options, seed: 2n, signal }), {
    code: "CANCELLED",
  });
  await assert.rejects(readRecords(temp.path), { message: /at least one image with its text/ });
});
