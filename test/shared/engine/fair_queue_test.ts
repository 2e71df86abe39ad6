import assert from "node:assert/strict";
import { FairQueue } from "../../../shared/engine/fair_queue.ts";

/** Serves one turn that takes `ms`; its item. */
function serve(queue: FairQueue<string>, ms: number): string | undefined {
  const turn = queue.next();
  if (!turn) return undefined;
  queue.begin(turn);
  queue.end(turn, ms);
  return turn.item;
}

const pushAll = (queue: FairQueue<string>, job: string, ...items: string[]) =>
  items.map((item) => queue.push(job, item));

Deno.test("FairQueue serves one job in the order of arrival", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "a", "a1", "a2", "a3");
  assert.deepEqual([1, 2, 3, 4].map(() => serve(queue, 10)), ["a1", "a2", "a3", undefined]);
});

Deno.test("FairQueue gives a job with many items no more turns than one with few", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "a", "a1", "a2", "a3", "a4");
  pushAll(queue, "b", "b1", "b2");
  const order = Array.from({ length: 6 }, () => serve(queue, 10));
  assert.deepEqual(order, ["a1", "b1", "a2", "b2", "a3", "a4"]);
});

Deno.test("FairQueue divides time, not turns: three short ones for a long one", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "long", "L1", "L2", "L3");
  pushAll(queue, "short", "s1", "s2", "s3", "s4", "s5", "s6", "s7");
  const order = Array.from({ length: 10 }, () => {
    const turn = queue.next()!;
    queue.begin(turn);
    queue.end(turn, turn.job === "long" ? 30 : 10);
    return turn.item;
  });
  assert.deepEqual(order, ["L1", "s1", "s2", "s3", "L2", "s4", "s5", "s6", "L3", "s7"]);
});

Deno.test("FairQueue: a new job starts where the others are, and is owed nothing for before", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "a", "a1", "a2", "a3", "a4", "a5", "a6");
  for (let i = 0; i < 3; i++) serve(queue, 10);
  pushAll(queue, "b", "b1", "b2", "b3");
  // a has been served 30 ms; its last turn began at 20, where b starts.
  const order = Array.from({ length: 6 }, () => serve(queue, 10));
  assert.deepEqual(order, ["b1", "a4", "b2", "a5", "b3", "a6"]);
});

Deno.test("FairQueue: a job that comes back is not paid for its absence, and keeps its debts", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "a", "a1", "a2", "a3", "a4", "a5", "a6");
  pushAll(queue, "b", "b1");
  const served = [serve(queue, 10), serve(queue, 10), serve(queue, 10), serve(queue, 10)];
  assert.deepEqual(served, ["a1", "b1", "a2", "a3"]);
  pushAll(queue, "b", "b2", "b3");
  assert.deepEqual([1, 2, 3, 4].map(() => serve(queue, 10)), ["b2", "a4", "b3", "a5"]);
  // c starts at 40, takes 100 ms at once and goes away: then it waits until a has been served 140, too.
  pushAll(queue, "c", "c1");
  assert.deepEqual([serve(queue, 100), serve(queue, 10)], ["c1", "a6"]);
  pushAll(queue, "c", "c2");
  pushAll(queue, "a", "a7", "a8", "a9");
  assert.deepEqual([1, 2, 3, 4].map(() => serve(queue, 40)), ["a7", "a8", "c2", "a9"]);
});

Deno.test("FairQueue: of jobs that were served the same, the one that runs less comes first", () => {
  const queue = new FairQueue<string>();
  const [a1] = pushAll(queue, "a", "a1", "a2");
  queue.begin(a1!);
  pushAll(queue, "b", "b1");
  assert.equal(queue.next()!.item, "b1");
});

Deno.test("FairQueue.mates(): others of the same kind, one per job while there are several", () => {
  const queue = new FairQueue<string>();
  const isSame = (item: string) => item.endsWith("x");
  const [a1] = pushAll(queue, "a", "a1x", "a2x", "a3y", "a4x");
  const items = () => queue.mates(a1!, isSame).map(({ item }) => item);
  assert.deepEqual(items(), ["a2x", "a4x"], "alone, a job may join its own");
  pushAll(queue, "b", "b1y", "b2x", "b3x");
  pushAll(queue, "c", "c1x");
  assert.deepEqual(items(), ["b2x", "c1x"]);
});

Deno.test("FairQueue: a job between two runs is still there; after many turns of others it is not", () => {
  const queue = new FairQueue<string>();
  pushAll(queue, "b", "b1");
  serve(queue, 1);
  const matesOfA = () => {
    const [first, second] = pushAll(queue, "a", "a1", "a2") as [
      ReturnType<typeof queue.push>,
      ReturnType<typeof queue.push>,
    ];
    const count = queue.mates(first, () => true).length;
    for (const turn of [first, second]) {
      queue.begin(turn);
      queue.end(turn, 1);
    }
    return count;
  };
  assert.equal(matesOfA(), 0);
  for (let i = 0; i < 20; i++) matesOfA();
  assert.equal(matesOfA(), 1);
});

Deno.test("FairQueue.remove() takes back what waits, and nothing else", () => {
  const queue = new FairQueue<string>();
  const [a1, a2, a3] = pushAll(queue, "a", "a1", "a2", "a3");
  queue.begin(a1!);
  assert.equal(queue.remove(a1!), false, "it has begun");
  assert.equal(queue.remove(a2!), true);
  assert.equal(queue.remove(a2!), false, "it is gone");
  assert.equal(queue.next(), a3);
  queue.begin(a2!);
  queue.end(a1!, 5);
  assert.equal(serve(queue, 1), "a3");
  assert.equal(queue.next(), undefined);
});
