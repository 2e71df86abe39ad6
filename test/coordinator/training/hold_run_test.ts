import assert from "node:assert/strict";
import { join } from "node:path";
import { holdRun } from "../../../coordinator/training/hold_run.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("a run's folder has one writer at a time", async () => {
  await using folder = await tempFolder();
  const path = join(folder.path, "runs", "castles");
  {
    using _ = await holdRun(path);
    await assert.rejects(holdRun(path), {
      code: "FAILED_PRECONDITION",
      message:
        `Another process is writing a run to "${path}": wait until it ends, or choose another --out`,
    });
    using _other = await holdRun(join(folder.path, "runs", "ships"));
  }
  using _again = await holdRun(path);
});

Deno.test("a folder that cannot be is named", async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, "castles");
  await Deno.writeTextFile(file, "");
  await assert.rejects(holdRun(file), {
    name: "FormatError",
    message: /Cannot write to and lock ".*castles": .*Choose another --out/,
  });
});
