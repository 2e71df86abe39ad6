import assert from "node:assert/strict";
import { JobEvents } from "../../../coordinator/http/runtime/job_events.ts";

/** Those that are there; the events have ended, or the signal fires. */
async function read(
  events: JobEvents<string>,
  after: number,
  signal = new AbortController().signal,
) {
  return await Array.fromAsync(events.after(after, signal), ({ data }) => data);
}

Deno.test("a watcher that comes back gets what it has missed, once and in order", async () => {
  const events = new JobEvents<string>(() => 1000);
  ["a", "b", "c"].forEach((data) => events.add(data));
  const stop = new AbortController();
  const seen: string[] = [];
  let last = 0;
  for await (const { id, data } of events.after(0, stop.signal)) {
    [last, seen[seen.length]] = [id, data];
    if (data === "b") stop.abort();
  }
  assert.deepEqual(seen, ["a", "b"]);
  const rest = read(events, last);
  events.add("d");
  events.end();
  assert.deepEqual(await rest, ["c", "d"]);
  assert.deepEqual(await read(events, Number.MAX_SAFE_INTEGER), []);
});

Deno.test("ids go on rising where a server was started again", () => {
  const kept = async (events: JobEvents<string>) =>
    (await Array.fromAsync(events.after(0, new AbortController().signal))).map(({ id }) => id);
  const [before, after] = [new JobEvents<string>(() => 1000), new JobEvents<string>(() => 2000)];
  for (const events of [before, after]) {
    events.add("a");
    events.add("b");
    events.end();
  }
  return Promise.all([kept(before), kept(after)]).then((ids) =>
    assert.deepEqual(ids, [[1000, 1001], [2000, 2001]])
  );
});

Deno.test("of more events than are kept, a watcher that has missed some gets the newest", async () => {
  const events = new JobEvents<string>(() => 0);
  for (let i = 0; i < 1000; i++) events.add(String(i));
  events.end();
  assert.deepEqual(await read(events, 5), ["999"]);
  assert.deepEqual((await read(events, 990)).length, 10);
});

Deno.test("a watcher that waits ends with its signal", async () => {
  const stop = new AbortController();
  const events = new JobEvents<string>();
  const waiting = read(events, 0, stop.signal);
  stop.abort();
  assert.deepEqual(await waiting, []);
});
