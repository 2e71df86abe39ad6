import assert from "node:assert/strict";
import { allowedCores, holdCores, parseCoreList } from "../../../coordinator/bench/cores.ts";

const hasTaskset = await new Deno.Command("taskset", { args: ["--version"], stdout: "null" })
  .output().then(({ success }) => success, () => false);

Deno.test("parseCoreList() reads ranges and single cores", () => {
  assert.deepEqual(parseCoreList("0"), [0]);
  assert.deepEqual(parseCoreList("0-2,5,8-9"), [0, 1, 2, 5, 8, 9]);
});

Deno.test({
  name: "holdCores() keeps this process on the first cores until it lets go",
  ignore: Deno.build.os !== "linux" || !hasTaskset,
  fn: async () => {
    const before = await allowedCores();
    assert.ok(before !== undefined && before.length > 0);
    {
      await using held = await holdCores(1);
      assert.deepEqual(held.cores, before.slice(0, 1));
      assert.deepEqual(await allowedCores(), before.slice(0, 1));
    }
    assert.deepEqual(await allowedCores(), before);
  },
});

Deno.test("holdCores() says that it could not choose more cores than there are", async () => {
  const before = await allowedCores();
  await using held = await holdCores(100_000);
  assert.equal(held.cores, undefined);
  assert.deepEqual(await allowedCores(), before);
});
