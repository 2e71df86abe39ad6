import assert from "node:assert/strict";
import { PASS_PARTS, PassTimes } from "../../../coordinator/training/pass_times.ts";
import { batchGradients } from "../../../coordinator/training/batch_pass.ts";
import { openSmallTraining } from "./small_training.ts";

Deno.test("a part lasts from the first that begins to the last that ends", async () => {
  let now = 0;
  const times = new PassTimes(() => now);
  const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const both = [
    times.time("SABW forward", () => one.promise),
    times.time("SABW forward", () => two.promise),
  ];
  now = 5;
  one.resolve();
  await both[0];
  assert.equal(times.get("SABW forward"), 0);
  now = 8;
  two.reject(new Error("lost"));
  await assert.rejects(both[1]!, { message: "lost" });
  assert.equal(times.get("SABW forward"), 8);
  assert.equal(times.get("SABW backward"), 0);
  assert.deepEqual([times.forwardMs, times.backwardMs], [8, 0]);
});

Deno.test("an ensemble whose time is taken has the same gradients", async () => {
  await using small = await openSmallTraining("noise");
  const { ensemble } = small.request(await small.openSabw());
  const rows = small.examples.slice(0, 2).map((example, i) => ({
    example,
    draw: small.rows.draw(7n, ["fixed", i], 0),
  }));
  const batch = await small.rows.batch(rows);
  const times = new PassTimes();
  const timed = await batchGradients(times.over(ensemble), batch);
  assert.deepEqual(timed, await batchGradients(ensemble, batch));
  for (const part of PASS_PARTS) assert.ok(times.get(part) > 0, part);
});
