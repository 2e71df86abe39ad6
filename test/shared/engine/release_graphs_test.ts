import assert from "node:assert/strict";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("LocalExpert.releaseGraphs() writes profiles; later calls load the graphs anew", async () => {
  await using profiles = await tempFolder();
  const expert = await openLocalExpert({
    model: goldenExpert("a"),
    device: "cpu",
    lanes: 2,
    threads: 1,
    profileFolder: profiles.path,
  });
  try {
    const files = async () => (await Array.fromAsync(Deno.readDir(profiles.path))).length;
    await expert.releaseGraphs();
    assert.equal(await files(), 0, "nothing was loaded");
    const before = await expert.embedTimesteps([3, 500]);
    await expert.releaseGraphs();
    assert.equal(await files(), 1);
    const after = await expert.embedTimesteps([3, 500]);
    assert.ok(bitEqual(after.data, before.data));
  } finally {
    await expert.close();
  }
});
