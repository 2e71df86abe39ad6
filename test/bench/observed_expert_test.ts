import assert from "node:assert/strict";
import { AffineExpert } from "../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { observedExpert } from "./observed_expert.ts";

Deno.test("calls of all sessions of an expert are counted while they run", async () => {
  const calls = { now: 0, most: 0 };
  const gate = Promise.withResolvers<void>();
  const expert = observedExpert(new AffineExpert({ beforeBlock: () => gate.promise }), calls);
  const config = await sessionConfig(expert);
  const sessions = [await expert.openSession(config), await expert.openSession(config)];
  const hiddenStates = latentsFor(expert.description, config);
  const range = { stepIndex: 0, first: "IN00", last: "IN00", hiddenStates };
  const running = sessions.map((session) => session.forward(range));
  assert.deepEqual(calls, { now: 2, most: 2 });
  gate.resolve();
  await Promise.all(running);
  assert.deepEqual(calls, { now: 0, most: 2 });
  for (const session of sessions) await session.close();
  await expert.close();
});
