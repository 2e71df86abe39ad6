import assert from "node:assert/strict";
import {
  type BlockRun,
  JoinedRuns,
  MAX_JOINED_ROWS,
  runKey,
} from "../../../shared/engine/joined_runs.ts";
import { f32, type F32Tensor, i64 } from "../../../shared/tensor/tensor.ts";

/** A run of `values.length` rows of one number each; the block doubles them. */
function run(...values: number[]): BlockRun {
  const rows = values.length;
  return {
    block: "M00",
    inputs: {
      hidden_states: f32([rows, 1, 1, 1], values),
      temb: f32([rows, 2], values.flatMap((v) => [v, -v])),
    },
    output: f32([rows, 1, 1, 1]),
  };
}

/**
 * A machine on which a run costs `fixed` ms and `perRow` ms for each row, may be wrong where there are several, and holds
 * so many rows. It notes how many it was given.
 */
function machine(changes: Partial<typeof MACHINE> = {}) {
  const properties = { ...MACHINE, ...changes };
  const rows: number[] = [];
  const runs = new JoinedRuns(({ inputs, output }) => {
    const { fixed, perRow, rowError, mostRows } = properties;
    const { shape, data } = inputs.hidden_states as F32Tensor;
    const count = shape[0]!;
    assert.deepEqual(inputs.temb!.shape, [count, 2]);
    rows.push(count);
    if (count > mostRows) return Promise.reject(new Error("out of memory"));
    output.data.set(data.map((value) => 2 * value + (count > 1 ? rowError : 0)));
    return Promise.resolve(fixed + perRow * count);
  });
  return { runs, rows, properties };
}

const MACHINE = { fixed: 10, perRow: 1, rowError: 0, mostRows: Infinity };

/** Computes two runs of one row each, together if that is allowed. */
async function meet(runs: JoinedRuns): Promise<{ results: number[]; ms: number }> {
  const pair = [run(3), run(5)];
  let ms = 0;
  if (runs.mayJoin(pair)) ms = await runs.compute(pair);
  else for (const one of pair) ms += await runs.compute([one]);
  return { results: pair.map(({ output }) => output.data[0]!), ms };
}

Deno.test("runKey() tells blocks, shapes of a row and target sizes apart, and not rows", () => {
  assert.equal(runKey(run(1)), runKey(run(2, 3)));
  const { inputs, output } = run(1);
  const others: BlockRun[] = [
    { block: "IN00", inputs, output },
    { block: "M00", inputs: { ...inputs, temb: f32([1, 3]) }, output },
    { block: "M00", inputs: { ...inputs, target_size: i64([2], [2, 2]) }, output },
    { block: "M00", inputs: { ...inputs, target_size: i64([2], [2, 3]) }, output },
  ];
  assert.equal(new Set([run(1), ...others].map(runKey)).size, 5);
});

Deno.test("JoinedRuns tries both ways three times, then joins what is faster", async () => {
  const { runs, rows } = machine();
  assert.equal(runs.mayJoin([run(3), run(5)]), false, "a block's first run is no trial");
  for (let i = 0; i < 4; i++) assert.deepEqual((await meet(runs)).results, [6, 10]);
  assert.deepEqual(rows, [1, 1, 1, 1, 2, 1, 1, 2, 1, 1, 2]);
  rows.length = 0;
  const { results, ms } = await meet(runs);
  assert.deepEqual(results, [6, 10]);
  assert.deepEqual(rows, [2]);
  assert.ok(12 <= ms && ms < 22, "the time of one run, and its copies");
});

Deno.test("JoinedRuns leaves apart what is not faster, and at once what has other bits", async () => {
  for (
    const [options, trials] of [[{ fixed: 0, perRow: 5 }, 3], [{ rowError: 1e-6 }, 1]] as const
  ) {
    const { runs, rows } = machine(options);
    for (let i = 0; i < 5; i++) assert.deepEqual((await meet(runs)).results, [6, 10]);
    assert.equal(rows.filter((count) => count === 2).length, trials);
    assert.equal(runs.mayJoin([run(3), run(5)]), false);
    // Other rows are another question.
    assert.equal(runs.mayJoin([run(3), run(5), run(7)]), true);
  }
});

Deno.test("JoinedRuns: runs of several rows go in and come out in their order", async () => {
  const { runs, rows } = machine();
  await runs.compute([run(0)]);
  for (let i = 0; i < 4; i++) {
    const group = [run(1, 2), run(3), run(4, 5, 6)];
    assert.ok(runs.mayJoin(group));
    await runs.compute(group);
    assert.deepEqual(group.map(({ output }) => [...output.data]), [[2, 4], [6], [8, 10, 12]]);
  }
  assert.equal(rows.at(-1), 6);
  assert.equal(rows.filter((count) => count === 6).length, 4);
});

Deno.test("JoinedRuns joins at most so many rows", async () => {
  const { runs } = machine();
  await runs.compute([run(0)]);
  const half = new Array<number>(MAX_JOINED_ROWS / 2).fill(1);
  assert.equal(runs.mayJoin([run(...half), run(...half)]), true);
  assert.equal(runs.mayJoin([run(...half), run(...half, 1)]), false);
});

Deno.test("JoinedRuns: what fails together is computed apart, then and from then on", async () => {
  const never = machine({ mostRows: 1 });
  for (let i = 0; i < 3; i++) assert.deepEqual((await meet(never.runs)).results, [6, 10]);
  assert.deepEqual(never.rows, [1, 1, 1, 1, 2, 1, 1]);
  const later = machine();
  for (let i = 0; i < 4; i++) await meet(later.runs);
  assert.equal(later.runs.mayJoin([run(3), run(5)]), true);
  later.properties.mostRows = 1;
  assert.deepEqual((await meet(later.runs)).results, [6, 10]);
  assert.equal(later.runs.mayJoin([run(3), run(5)]), false);
});
