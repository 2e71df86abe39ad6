import assert from "node:assert/strict";
import { takeTurns } from "../../../coordinator/bench/take_turns.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { Hold } from "../../support/hold.ts";

async function openExpert(options: ConstructorParameters<typeof AffineExpert>[0] = {}) {
  const expert = new AffineExpert(options);
  const config = await sessionConfig(expert);
  const hiddenStates = latentsFor(expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN00", hiddenStates };
  return { expert, config, range };
}

/** A session on each expert, in turns. */
async function inTurns(...opened: Awaited<ReturnType<typeof openExpert>>[]) {
  const experts = takeTurns(opened.map(({ expert }) => expert));
  return await Promise.all(experts.map((expert, i) => expert.openSession(opened[i]!.config)));
}

Deno.test("takeTurns() lets a session compute when those before it are done", async () => {
  const hold = new Hold("IN00");
  const started: string[] = [];
  const slow = await openExpert({ beforeBlock: hold.beforeBlock });
  const fast = await openExpert({
    beforeBlock: () => Promise.resolve(void started.push("fast")),
  });
  const [first, second] = await inTurns(slow, fast);
  const ofFirst = first!.forward(slow.range);
  const ofSecond = second!.forward(fast.range);
  await hold.reached;
  assert.deepEqual(started, []);
  hold.release();
  const [a, b] = [await ofFirst, await ofSecond];
  assert.deepEqual(started, ["fast"]);
  assert.deepEqual(a.hiddenStates, b.hiddenStates);
  assert.ok(b.queueMs > a.queueMs, "the wait for a turn is queue");
});

Deno.test("takeTurns() goes on after a session that failed", async () => {
  const broken = await openExpert({ gains: { IN00: NaN } });
  const sound = await openExpert();
  const [first, second] = await inTurns(broken, sound);
  const failing = first!.forward(broken.range);
  const next = second!.forward(sound.range);
  await assert.rejects(failing, { code: "DATA_LOSS" });
  const alone = await openExpert();
  const direct = await (await alone.expert.openSession(alone.config)).forward(sound.range);
  assert.deepEqual((await next).hiddenStates, direct.hiddenStates);
});
