import assert from "node:assert/strict";
import { TryLog } from "../../../coordinator/automerge/try_log.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const BLOCKS = ["BASE", "IN00"];
const conditions = { scorer: "judge", seed: "0" };

Deno.test("a log of tries is read again without the line that was cut", async () => {
  await using folder = await tempFolder();
  const path = folder.join("tries.jsonl");
  const log = await TryLog.open(path, { blocks: BLOCKS, conditions, isResumed: false });
  await log.add([0.1, 0.30000000000000004], { score: 1 / 3, seconds: 2, pictures: ["a.png"] });
  await log.add([1, 0], { score: -1e-9, seconds: 1, pictures: [] });
  const whole = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, `${whole}{"try":3,"weights":{"BASE":0.`);
  const again = await TryLog.open(path, { blocks: BLOCKS, conditions, isResumed: true });
  assert.equal(again.size, 2);
  assert.equal(again.find([0.1, 0.30000000000000004])?.score, 1 / 3);
  assert.deepEqual(again.find([1, 0])?.weights, { BASE: 1, IN00: 0 });
  assert.equal(again.find([0, 1]), undefined);
  assert.equal(await Deno.readTextFile(path), whole);
});

Deno.test("a log of tries is gone on with under its own conditions only", async () => {
  await using folder = await tempFolder();
  const path = folder.join("tries.jsonl");
  const open = (isResumed: boolean, more = {}) =>
    TryLog.open(path, { blocks: BLOCKS, conditions: { ...conditions, ...more }, isResumed });
  await assert.rejects(open(true), /--resume needs tries to go on with: ".*" does not exist/);
  await open(false);
  await assert.rejects(open(false), { name: "UsageError", message: /has tries already: --resume/ });
  await assert.rejects(open(true, { seed: "1" }), {
    name: "FormatError",
    message: /"seed" must be "0" as in its first line: current value is "1"/,
  });
  await assert.rejects(open(true, { size: 64 }), /"size" must be undefined .* value is 64/);
  await Deno.writeTextFile(path, "no JSON\n", { append: true });
  await assert.rejects(open(true), /tries\.jsonl:2: A try must be a JSON object/);
});
