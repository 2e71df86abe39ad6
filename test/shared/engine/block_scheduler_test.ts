import assert from "node:assert/strict";
import { BlockScheduler } from "../../../shared/engine/block_scheduler.ts";
import type { BlockRun } from "../../../shared/engine/joined_runs.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { turns } from "../../support/turns.ts";

/** A run that is known by the number in its row; the block negates it. */
function run(value: number, block = "M00"): BlockRun {
  return {
    block,
    inputs: { hidden_states: f32([1, 1, 1, 1], [value]) },
    output: f32([1, 1, 1, 1]),
  };
}

/** Lanes that compute when the test says so. */
class Lanes {
  /** Values of the rows of each run that was begun. */
  readonly begun: number[][] = [];
  clockMs = 0;
  readonly #ends: { succeed(ms: number): void; fail(error: TuttiError): void }[] = [];

  readonly compute = ({ inputs, output }: BlockRun): Promise<number> => {
    const { data } = inputs.hidden_states as F32Tensor;
    this.begun.push([...data]);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const succeed = (ms: number) => {
      output.data.set(data.map((value) => -value));
      resolve(ms);
    };
    this.#ends.push({ succeed, fail: reject });
    return promise;
  };

  /** Ends the oldest run that was begun, so many milliseconds later, and lets everything follow from it. */
  async end(ms: number | TuttiError): Promise<void> {
    if (typeof ms === "number") this.clockMs += ms;
    const { succeed, fail } = this.#ends.shift()!;
    if (ms instanceof TuttiError) fail(ms);
    else succeed(ms);
    await turns();
  }
}

function scheduler(lanes: number) {
  const machine = new Lanes();
  const options = { lanes, compute: machine.compute, now: () => machine.clockMs };
  return { machine, scheduler: new BlockScheduler(options) };
}

Deno.test("BlockScheduler hands out as many runs as there are lanes, the others wait", async () => {
  const { machine, scheduler: queue } = scheduler(2);
  const calls = [1, 2, 3].map((value) => queue.run("a", run(value, `block ${value}`)));
  assert.deepEqual(machine.begun, [[1], [2]]);
  await machine.end(5);
  assert.deepEqual(machine.begun, [[1], [2], [3]]);
  await machine.end(5);
  await machine.end(7);
  const times = await Promise.all(calls);
  assert.deepEqual(times.map(({ computeMs }) => computeMs), [5, 5, 7]);
});

Deno.test("BlockScheduler divides a lane's time between jobs, and counts the wait", async () => {
  const { machine, scheduler: queue } = scheduler(1);
  const calls = [11, 12, 13, 14].map((value) => queue.run("a", run(value, `block ${value}`)));
  calls.push(...[21, 22].map((value) => queue.run("b", run(value, `block ${value}`))));
  for (let i = 0; i < 6; i++) await machine.end(10);
  assert.deepEqual(machine.begun.flat(), [11, 21, 12, 22, 13, 14]);
  const times = await Promise.all(calls);
  assert.deepEqual(times.map(({ queueMs }) => queueMs), [0, 20, 40, 50, 10, 30]);
});

Deno.test("BlockScheduler: a cancelled run leaves the queue, one that has begun ends", async () => {
  const { machine, scheduler: queue } = scheduler(1);
  const controllers = [1, 2, 3].map(() => new AbortController());
  const runs = [1, 2, 3].map((value) => run(value));
  const calls = runs.map((one, i) => queue.run("a", one, controllers[i]!.signal));
  controllers[0]!.abort();
  controllers[1]!.abort();
  await assert.rejects(calls[1]!, { code: "CANCELLED" });
  await machine.end(10);
  await machine.end(10);
  await Promise.all([calls[0], calls[2]]);
  assert.deepEqual(machine.begun, [[1], [3]]);
  assert.deepEqual(runs.map(({ output }) => output.data[0]), [-1, 0, -3]);
  await assert.rejects(queue.run("a", run(4), AbortSignal.abort()), { code: "CANCELLED" });
  assert.equal(machine.begun.length, 2);
});

Deno.test("BlockScheduler: a run that fails tells its caller, and the next one follows", async () => {
  const { machine, scheduler: queue } = scheduler(1);
  const failed = assert.rejects(queue.run("a", run(1)), { code: "INTERNAL", message: "broken" });
  const next = queue.run("a", run(2));
  await machine.end(new TuttiError("INTERNAL", "broken"));
  await failed;
  await machine.end(3);
  assert.equal((await next).computeMs, 3);
});

/** Brings two runs of M00 into the queue while the lane is busy; the rows of the runs that follow. */
async function meet(
  { machine, scheduler: queue }: ReturnType<typeof scheduler>,
  jobs: readonly [string, string],
): Promise<{ rows: number[]; times: number[] }> {
  const busy = queue.run("other", run(0, "IN00"));
  const calls = jobs.map((job, i) => queue.run(job, run(i + 1)));
  await machine.end(10);
  await busy;
  const from = machine.begun.length - 1;
  let isSettled = false;
  const settled = Promise.all(calls).finally(() => isSettled = true);
  // A run takes 10 ms, whatever its rows.
  while (!isSettled) await machine.end(10);
  const times = await settled;
  return {
    rows: machine.begun.slice(from).map(({ length }) => length),
    times: times.map(({ computeMs }) => computeMs),
  };
}

Deno.test("BlockScheduler joins runs of two jobs at the same block, once a trial has shown that it pays", async () => {
  const parts = scheduler(1);
  const met = [];
  for (let i = 0; i < 5; i++) met.push(await meet(parts, ["a", "b"]));
  assert.deepEqual(met.map(({ rows }) => rows), [[1, 1], [1, 1, 2], [1, 1, 2], [1, 1, 2], [2]]);
  // Each pays for its rows.
  const [first, second] = met.at(-1)!.times as [number, number];
  assert.ok(Math.abs(first - second) < 1e-9 && first >= 5 && first < 10);
});

Deno.test("BlockScheduler does not join two runs of one job while another one is there", async () => {
  const parts = scheduler(1);
  for (let i = 0; i < 6; i++) {
    assert.deepEqual((await meet(parts, ["a", "a"])).rows, [1, 1], `meeting ${i}`);
  }
});

Deno.test("BlockScheduler does not join runs of different blocks", async () => {
  const { machine, scheduler: queue } = scheduler(1);
  for (let i = 0; i < 3; i++) {
    const calls = ["IN01", "IN02", "IN04"].map((block, j) => queue.run(`${j}`, run(j, block)));
    for (let j = 0; j < 3; j++) await machine.end(10);
    await Promise.all(calls);
  }
  assert.ok(machine.begun.every(({ length }) => length === 1));
});
