import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../../shared/wire/limits.ts";
import { SessionRegistry } from "../../../worker/admission/session_registry.ts";
import { turns } from "../../support/turns.ts";

const LIMITS = {
  ...DEFAULT_LIMITS,
  maxSessions: 3,
  maxSessionsPerJob: 3,
  sessionBytes: 60,
  arenaBytes: 100,
};
const REQUEST = { peer: "p", job: "j", batch: 2, height: 8, width: 8, tokens: 77, timesteps: 50 };

Deno.test("SessionRegistry keeps count of bytes and gives them back once", () => {
  const registry = new SessionRegistry(LIMITS);
  const first = registry.admit({ ...REQUEST, arenaBytes: 60 });
  const second = registry.admit({ ...REQUEST, arenaBytes: 40 });
  assert.deepEqual([registry.size, registry.usedBytes, registry.leftBytes], [2, 100, 0]);
  assert.notEqual(first.id, second.id);
  first.release();
  first.release();
  assert.deepEqual([registry.size, registry.usedBytes, registry.leftBytes], [1, 40, 60]);
  registry.admit({ ...REQUEST, arenaBytes: 60 }).release();
  second.release();
  assert.deepEqual([registry.size, registry.usedBytes, registry.leftBytes], [0, 0, 100]);
});

Deno.test("SessionRegistry refuses with what was asked and what is left, and stays as it was", () => {
  const registry = new SessionRegistry(LIMITS);
  const refusal = (arenaBytes: number) => {
    try {
      return registry.admit({ ...REQUEST, arenaBytes });
    } catch (error) {
      const { code, details } = error as { code: string; details: Record<string, string> };
      return [code, details.limit, details.asked, details.left];
    }
  };
  assert.deepEqual(refusal(61), ["RESOURCE_EXHAUSTED", "session_bytes", "61", "60"]);
  registry.admit({ ...REQUEST, arenaBytes: 60 });
  assert.deepEqual(refusal(41), ["RESOURCE_EXHAUSTED", "arena_bytes", "41", "40"]);
  registry.admit({ ...REQUEST, arenaBytes: 1 });
  registry.admit({ ...REQUEST, arenaBytes: 1 });
  assert.deepEqual(refusal(1), ["RESOURCE_EXHAUSTED", "max_sessions", "1", "0"]);
  assert.deepEqual([registry.size, registry.usedBytes], [3, 62]);
});

Deno.test("SessionRegistry tells age and idleness by its clock", () => {
  let now = 1000;
  const registry = new SessionRegistry(LIMITS, () => now);
  const ticket = registry.admit({ ...REQUEST, arenaBytes: 1 });
  const seconds = () => {
    const [session] = registry.list();
    return [session?.stepIndex, session?.ageSeconds, session?.idleSeconds];
  };
  now += 2000;
  assert.deepEqual(seconds(), [0, 2, 2]);
  ticket.commandBegan(7);
  now += 3000;
  assert.deepEqual(seconds(), [7, 5, 0]);
  ticket.commandEnded();
  now += 500;
  assert.deepEqual(seconds(), [7, 5.5, 0.5]);
});

Deno.test("SessionTicket expects the steps that are left to take as long as those before", () => {
  let now = 0;
  const ticket = new SessionRegistry(LIMITS, () => now).admit({ ...REQUEST, arenaBytes: 1 });
  now = 100;
  assert.equal(ticket.remainingMs, 49 * 100, "50 steps, the first of which takes 100 ms at least");
  ticket.commandBegan(10);
  now = 2000;
  assert.equal(ticket.remainingMs, 40 * 200);
  ticket.commandBegan(49);
  now = 4900;
  assert.equal(ticket.remainingMs, 100);
});

Deno.test("SessionRegistry.empty() settles with the last session", async () => {
  const registry = new SessionRegistry(LIMITS);
  await registry.empty();
  const tickets = [1, 2].map(() => registry.admit({ ...REQUEST, arenaBytes: 1 }));
  let isEmpty = false;
  const empty = registry.empty().then(() => isEmpty = true);
  tickets[0]!.release();
  await turns();
  assert.equal(isEmpty, false);
  tickets[1]!.release();
  await empty;
});
