import assert from "node:assert/strict";
import { TuttiError } from "../../../shared/errors.ts";
import { DEFAULT_LIMITS, type WorkerLimits } from "../../../shared/wire/limits.ts";
import { SessionAdmission } from "../../../worker/admission/session_admission.ts";
import { SessionRegistry } from "../../../worker/admission/session_registry.ts";
import type { SessionTicket } from "../../../worker/admission/session_ticket.ts";
import { turns } from "../../support/turns.ts";

const SIZE = { peer: "p", batch: 2, height: 8, width: 8, tokens: 77, timesteps: 11 };
const LONG_MS = 60_000;

/** A worker's door with a clock, and a log of who went through in which order. */
class Door {
  now = 0;
  readonly registry: SessionRegistry;
  readonly admission: SessionAdmission;
  /** Names of those admitted, in order. */
  readonly admitted: string[] = [];
  readonly #tickets = new Map<string, SessionTicket>();

  constructor(limits: Partial<WorkerLimits>) {
    const all = { ...DEFAULT_LIMITS, sessionBytes: 100, arenaBytes: 100, ...limits };
    this.registry = new SessionRegistry(all, () => this.now);
    this.admission = new SessionAdmission(this.registry, all);
  }

  /** The refusal of a session, or undefined once it is admitted. */
  async ask(
    name: string,
    {
      job = name,
      arenaBytes = 1,
      jobSessions = 1,
      waitMs = LONG_MS,
      signal = new AbortController().signal,
    } = {},
  ): Promise<TuttiError | undefined> {
    try {
      const ticket = await this.admission.admit(
        { ...SIZE, job, arenaBytes, jobSessions },
        { waitMs, signal },
      );
      this.#tickets.set(name, ticket);
      this.admitted.push(name);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof TuttiError);
      return error;
    }
  }

  ticket(name: string): SessionTicket {
    return this.#tickets.get(name)!;
  }

  /** Ends a session, and lets whoever is admitted then come through. */
  async end(name: string): Promise<void> {
    this.ticket(name).release();
    await turns();
  }
}

function facts(error: TuttiError | undefined) {
  assert.ok(error, "it was admitted");
  const { limit, asked, left, retry_after_ms: retry } = error.details;
  return [error.code, limit, asked, left, retry];
}

Deno.test("SessionAdmission opens at once where there is room, and refuses at once whoever does not wait", async () => {
  const door = new Door({ maxSessions: 2 });
  assert.equal(await door.ask("a", { waitMs: 0 }), undefined);
  assert.equal(await door.ask("b", { waitMs: 0 }), undefined);
  door.now = 1000;
  // Ten steps are left to each of the two, as long as the first.
  assert.deepEqual(facts(await door.ask("c", { waitMs: 0 })), [
    ...["RESOURCE_EXHAUSTED", "max_sessions", "1", "0", "10000"],
  ]);
  door.ticket("b").commandBegan(5);
  assert.equal((await door.ask("c", { waitMs: 0 }))!.details.retry_after_ms, "1200");
  assert.equal(door.admission.waiting, 0);
  await door.end("a");
  assert.equal(await door.ask("c", { waitMs: 0 }), undefined);
});

Deno.test("SessionAdmission tells of what never fits that it never does", async () => {
  const door = new Door({ sessionBytes: 60 });
  assert.deepEqual(facts(await door.ask("a", { arenaBytes: 61 })), [
    ...["RESOURCE_EXHAUSTED", "session_bytes", "61", "60", undefined],
  ]);
  const small = new Door({ sessionBytes: 60, arenaBytes: 50 });
  assert.equal((await small.ask("a", { arenaBytes: 51 }))!.details.left, "50");
});

Deno.test("SessionAdmission opens in the order of arrival as room comes, one for one", async () => {
  const door = new Door({ maxSessions: 1 });
  const asked = ["a", "b", "c", "d"].map((name) => door.ask(name));
  await asked[0];
  assert.equal(door.admission.waiting, 3);
  for (const name of ["a", "b", "c"]) await door.end(name);
  await Promise.all(asked);
  assert.deepEqual(door.admitted, ["a", "b", "c", "d"]);
  assert.deepEqual([door.admission.waiting, door.registry.size], [0, 1]);
});

Deno.test("SessionAdmission: a job that holds all sessions gives the next one to whoever has fewer", async () => {
  const door = new Door({ maxSessions: 3 });
  const asked = ["g1", "g2", "g3", "g4", "g5"].map((name) => door.ask(name, { job: "greedy" }));
  await asked[2];
  const late = [door.ask("m1", { job: "modest" }), door.ask("m2", { job: "modest" })];
  await door.end("g1");
  assert.deepEqual(door.admitted, ["g1", "g2", "g3", "m1"]);
  await door.end("g2");
  // One each: the older one is next.
  assert.deepEqual(door.admitted.slice(4), ["g4"]);
  await door.end("g3");
  await Promise.all([...asked.slice(0, 4), late[0]]);
  assert.deepEqual(door.admitted.slice(5), ["g5"]);
  await door.end("m1");
  await Promise.all([...asked, ...late]);
  assert.deepEqual(door.admitted.slice(6), ["m2"]);
});

Deno.test("SessionAdmission keeps a job to its limit, and lets others pass it", async () => {
  const door = new Door({ maxSessions: 3, maxSessionsPerJob: 1 });
  await door.ask("a1", { job: "a" });
  door.now = 100;
  assert.deepEqual(facts(await door.ask("a2", { job: "a", waitMs: 0 })), [
    ...["RESOURCE_EXHAUSTED", "max_sessions_per_job", "1", "0", "1000"],
  ]);
  const second = door.ask("a3", { job: "a" });
  assert.equal(await door.ask("b", { waitMs: 0 }), undefined);
  await door.end("a1");
  assert.equal(await second, undefined);
  assert.deepEqual(door.admitted, ["a1", "b", "a3"]);
});

Deno.test("SessionAdmission: what needs much room is not passed by what needs little", async () => {
  const door = new Door({ arenaBytes: 100 });
  await door.ask("a", { arenaBytes: 60 });
  const large = door.ask("large", { arenaBytes: 90 });
  const [code, limit, asked, left] = facts(await door.ask("small", { arenaBytes: 5, waitMs: 0 }));
  assert.deepEqual([code, limit, asked, left], ["RESOURCE_EXHAUSTED", "arena_bytes", "90", "40"]);
  const patient = door.ask("small", { arenaBytes: 5 });
  await door.end("a");
  assert.deepEqual([await large, await patient], [undefined, undefined]);
  assert.deepEqual(door.admitted, ["a", "large", "small"]);
});

Deno.test("SessionAdmission: who leaves the queue makes room for those behind", async () => {
  const door = new Door({ arenaBytes: 100 });
  await door.ask("a", { arenaBytes: 60 });
  const abort = new AbortController();
  const large = door.ask("large", { arenaBytes: 90, signal: abort.signal });
  const small = door.ask("small", { arenaBytes: 5 });
  abort.abort();
  assert.equal((await large)!.code, "CANCELLED");
  assert.equal(await small, undefined);
});

Deno.test("SessionAdmission lets no more wait than its limit, and none longer than asked", async () => {
  const door = new Door({ maxSessions: 1, maxWaiting: 2 });
  await door.ask("a");
  door.now = 50;
  const short = door.ask("b", { waitMs: 20 });
  const long = door.ask("c");
  // Behind the two that wait: three times what is left of the one that runs.
  assert.deepEqual(facts(await door.ask("d")), [
    ...["RESOURCE_EXHAUSTED", "max_waiting", "1", "0", "1500"],
  ]);
  assert.deepEqual(facts(await short), [
    ...["RESOURCE_EXHAUSTED", "max_sessions", "1", "0", "500"],
  ]);
  const next = door.ask("e");
  await door.end("a");
  await door.end("c");
  assert.deepEqual([await long, await next], [undefined, undefined]);
  assert.deepEqual(door.admitted, ["a", "c", "e"]);
});

Deno.test("SessionAdmission turns away who waits and who comes once it is closed; sessions go on", async () => {
  const door = new Door({ maxSessions: 1 });
  await door.ask("a");
  const waiting = door.ask("b");
  const reason = new TuttiError("UNAVAILABLE", "draining");
  door.admission.close(reason);
  assert.equal(await waiting, reason);
  assert.equal(await door.ask("c"), reason);
  await door.end("a");
  assert.deepEqual([door.admitted, door.registry.size], [["a"], 0]);
});

Deno.test("SessionAdmission sets room aside for all sessions of a job, and opens the job's others before anyone's", async () => {
  const door = new Door({ maxSessions: 4, arenaBytes: 100 });
  const pair = { jobSessions: 2, arenaBytes: 20 };
  await door.ask("a1", { ...pair, job: "a" });
  assert.deepEqual(door.registry.left, { sessions: 2, bytes: 60 });
  await door.ask("b1", { ...pair, job: "b" });
  // Two sessions are open, and nobody else gets one of the others.
  const [code, limit, asked, left] = facts(await door.ask("c", { waitMs: 0 }));
  assert.deepEqual([code, limit, asked, left], ["RESOURCE_EXHAUSTED", "max_sessions", "1", "0"]);
  const waiting = door.ask("c");
  await door.ask("a2", { ...pair, job: "a", waitMs: 0 });
  await door.ask("b2", { ...pair, job: "b", waitMs: 0 });
  assert.deepEqual(door.registry.left, { sessions: 0, bytes: 20 });
  await door.end("a1");
  assert.equal(await waiting, undefined);
  assert.deepEqual(door.admitted, ["a1", "b1", "a2", "b2", "c"]);
});

Deno.test("SessionAdmission: a job that ends before it has opened all its sessions gives back what it set aside", async () => {
  const door = new Door({ maxSessions: 2 });
  await door.ask("a1", { job: "a", jobSessions: 2 });
  const waiting = [door.ask("b1", { job: "b", jobSessions: 2 }), door.ask("c")];
  await door.end("a1");
  assert.deepEqual([await waiting[0], door.registry.left.sessions], [undefined, 0]);
  await door.end("b1");
  assert.equal(await waiting[1], undefined);
  assert.equal(door.registry.left.sessions, 1);
  assert.deepEqual(facts(await door.ask("d", { jobSessions: 3 })).slice(1), [
    ...["max_sessions_per_job", "3", "2", undefined],
  ]);
});
