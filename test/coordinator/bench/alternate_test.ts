import assert from "node:assert/strict";
import { alternate, ratioFigure, type Side } from "../../../coordinator/bench/alternate.ts";

/** Sides that take as long as a list says, on a clock of their own; and the order in which they ran. */
function clocked(durations: Readonly<Record<string, readonly number[]>>) {
  let nowMs = 0;
  const ran: string[] = [];
  const sides = Object.entries(durations).map(([name, runs]): Side => ({
    name,
    run: () => {
      nowMs += runs[ran.filter((other) => other === name).length]!;
      ran.push(name);
      return Promise.resolve();
    },
  }));
  return { sides, ran, now: () => nowMs };
}

Deno.test("alternate() runs the sides in turns and leaves the warm-up out", async () => {
  const { sides, ran, now } = clocked({ a: [900, 1, 2], b: [800, 10, 20] });
  let runsWhenWarm: number | undefined;
  const told: string[] = [];
  const times = await alternate(sides, {
    rounds: 2,
    now,
    onWarm: () => runsWhenWarm = ran.length,
    onRun: (done, total, side) => told.push(`${done}/${total} ${side}`),
  });
  assert.deepEqual(ran, ["a", "b", "a", "b", "a", "b"]);
  assert.deepEqual([...times], [["a", [1, 2]], ["b", [10, 20]]]);
  assert.equal(runsWhenWarm, 2);
  assert.deepEqual(told, ["0/6 a", "1/6 b", "2/6 a", "3/6 b", "4/6 a", "5/6 b"]);
});

Deno.test("alternate() calls a side as a method", async () => {
  class Counter implements Side {
    readonly name = "counter";
    runs = 0;
    run(): Promise<void> {
      this.runs++;
      return Promise.resolve();
    }
  }
  const counter = new Counter();
  await alternate([counter], { rounds: 3, warmups: 2 });
  assert.equal(counter.runs, 5);
});

Deno.test("alternate() stops between two runs when it is cancelled, and passes failures on", async () => {
  const controller = new AbortController();
  const { sides, ran, now } = clocked({ a: [1, 1], b: [1, 1] });
  const options = { rounds: 1, now, signal: controller.signal };
  const cancelling = alternate(sides, {
    ...options,
    onRun: (done) => done === 1 && controller.abort(),
  });
  // The run that was announced still happens, none after it.
  await assert.rejects(cancelling, { code: "CANCELLED" });
  assert.deepEqual(ran, ["a", "b"]);
  const failing = { name: "c", run: () => Promise.reject(new Error("no")) };
  await assert.rejects(alternate([failing], { rounds: 1 }), /^Error: no$/);
  await assert.rejects(alternate([failing, failing], { rounds: 1 }), /different names/);
});

Deno.test("ratioFigure() takes the median of the rounds' ratios, not the ratio of medians", () => {
  // The machine was three times slower in the second round: of no matter within it.
  const times = new Map([["a", [110, 300, 130]], ["b", [100, 300, 100]]]);
  const figure = ratioFigure("x", times, ["a", "b"], "s");
  assert.equal(figure.value, 1.1);
  assert.equal(figure.unit, "ratio");
  const spread = {
    runs: 3,
    min: 1,
    lowerQuartile: 1.05,
    upperQuartile: 1.2000000000000002,
    max: 1.3,
  };
  assert.deepEqual(figure.spread, spread);
  const { a, b } = figure.pair!;
  assert.deepEqual([a.name, a.value, a.unit], ["a", 0.13, "s"]);
  assert.deepEqual([b.name, b.value, b.spread!.max], ["b", 0.1, 0.3]);
  assert.throws(() => ratioFigure("x", times, ["a", "c"], "s"), /Side must be one of a,b/);
});
