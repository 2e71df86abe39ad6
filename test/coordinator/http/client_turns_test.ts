import assert from "node:assert/strict";
import fc from "fast-check";
import { ClientTurns } from "../../../coordinator/http/runtime/client_turns.ts";

Deno.test("clients take turns, whoever came first and however much one wants", () => {
  const turns = new ClientTurns<string>();
  ["a1", "a2", "a3", "a4"].forEach((item) => turns.push("a", item));
  ["b1", "b2"].forEach((item) => turns.push("b", item));
  turns.push("c", "c1");
  assert.equal(turns.size, 7);
  assert.equal(turns.sizeOf("a"), 4);
  const first = [turns.next(), turns.next()];
  // One that comes, or comes back, does not overtake those that wait.
  turns.push("d", "d1");
  const rest = Array.from({ length: 7 }, () => turns.next());
  assert.deepEqual([...first, ...rest], [
    "a1",
    "b1",
    "c1",
    "a2",
    "b2",
    "d1",
    "a3",
    "a4",
    undefined,
  ]);
});

Deno.test("two clients that always have a job waiting never differ by more than one job", () => {
  const turns = new ClientTurns<string>();
  const drawn = { steady: 0, greedy: 0 };
  for (let i = 0; i < 50; i++) turns.push("greedy", "greedy");
  turns.push("steady", "steady");
  for (let i = 0; i < 40; i++) {
    const who = turns.next() as keyof typeof drawn;
    drawn[who]++;
    // It gives the next one when it has the last.
    if (who === "steady") turns.push("steady", "steady");
    assert.ok(Math.abs(drawn.steady - drawn.greedy) <= 1, JSON.stringify(drawn));
  }
});

Deno.test("a place in the queue is the number of jobs that are drawn before, also when some are taken back", () => {
  const moves = fc.array(
    fc.record({
      client: fc.constantFrom("a", "b", "c"),
      kind: fc.constantFrom("push", "next", "remove"),
    }),
    { maxLength: 40 },
  );
  fc.assert(fc.property(moves, (moves) => {
    const turns = new ClientTurns<number>();
    const waiting = new Map<number, string>();
    moves.forEach(({ client, kind }, item) => {
      const own = [...waiting].find(([, whose]) => whose === client);
      if (kind === "push") {
        turns.push(client, item);
        waiting.set(item, client);
      } else if (kind === "next") waiting.delete(turns.next() ?? -1);
      else if (own) {
        assert.ok(turns.remove(client, own[0]));
        assert.ok(!turns.remove(client, own[0]));
        waiting.delete(own[0]);
      }
    });
    const places = [...waiting].map(([item, client]) => [item, turns.position(client, item)]);
    const order = places.toSorted(([, a], [, b]) => a! - b!).map(([item]) => item);
    assert.deepEqual(order, Array.from(waiting, () => turns.next()));
    assert.deepEqual(
      places.map(([, place]) => place).sort((a, b) => a! - b!),
      [...waiting.keys()].map((_, i) => i),
    );
    assert.equal(turns.position("a", -1), undefined);
  }));
});
