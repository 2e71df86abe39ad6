import assert from "node:assert/strict";
import { coordinateSearch, type Row, searchGroups } from "../../../coordinator/automerge/search.ts";
import { rowBlocks, startRow } from "../../../coordinator/automerge/row_merge.ts";

/** Minus the squared distance from a point, and how often it was asked. */
function distanceScore(goal: Row, most = Infinity) {
  const asked = new Set<string>();
  const score = (row: Row): Promise<number | undefined> => {
    if (!asked.has(row.join()) && asked.size >= most) return Promise.resolve(undefined);
    asked.add(row.join());
    return Promise.resolve(-row.reduce((sum, value, i) => sum + (value - goal[i]!) ** 2, 0));
  };
  return { score, asked };
}

const isSettled = (before: Row, after: Row) => Promise.resolve(before.join() === after.join());

Deno.test("coordinateSearch() finds the tenth that is best, in every place of a group", async () => {
  for (let tenth = 0; tenth <= 10; tenth++) {
    const goal = [tenth / 10, 1 - tenth / 10, 1 - tenth / 10];
    const { score } = distanceScore(goal);
    const { row } = await coordinateSearch({
      ...{ starts: [[0.5, 0.5, 0.5]], groups: [[0], [1, 2]], score, isSettled },
    });
    row.forEach((value, i) => assert.ok(Math.abs(value - goal[i]!) < 1e-9, `${row} for ${goal}`));
  }
});

Deno.test("coordinateSearch() begins at the best start, and keeps it where nothing beats it", async () => {
  // A value between tenths, which no try has.
  const goal = [0.333, 0.777];
  const { score } = distanceScore(goal);
  const found = await coordinateSearch({
    ...{ starts: [[0, 1], goal, [1, 1]], groups: [[0], [1]], score, isSettled },
  });
  assert.deepEqual(found, { row: goal, score: -0 });
});

Deno.test("coordinateSearch() ends with its best try when there are no more, or when it is settled", async () => {
  const few = distanceScore([0.9, 0.1], 4);
  const found = await coordinateSearch({
    ...{ starts: [[0.5, 0.5]], groups: [[0], [1]], score: few.score, isSettled },
  });
  assert.equal(few.asked.size, 4);
  assert.ok(found.score > -0.32);
  const passes: Row[] = [];
  await coordinateSearch({
    ...{ starts: [[0.5, 0.5]], groups: [[0], [1]], score: distanceScore([0.9, 0.1]).score },
    isSettled: (_, after) => Promise.resolve(passes.push(after) === 1),
  });
  assert.equal(passes.length, 1);
});

Deno.test("searchGroups() has BASE and M00 alone, then neighbours of each side", () => {
  const blocks = rowBlocks("sd15");
  const named = searchGroups(blocks, 5).map((group) => group.map((i) => blocks[i]).join());
  assert.deepEqual(named, [
    "BASE",
    "M00",
    "IN00,IN01,IN02,IN03,IN04",
    "IN05,IN06,IN07,IN08,IN09",
    "IN10,IN11",
    "OUT00,OUT01,OUT02,OUT03,OUT04",
    "OUT05,OUT06,OUT07,OUT08,OUT09",
    "OUT10,OUT11",
  ]);
  assert.deepEqual(searchGroups(rowBlocks("sdxl"), 1).flat().sort((a, b) => a - b), [
    ...rowBlocks("sdxl").keys(),
  ]);
});

Deno.test("startRow() reads a number, a preset, and 26 numbers", () => {
  assert.deepEqual(startRow("0.5", "sd15"), new Array(26).fill(0.5));
  assert.deepEqual(startRow("OUT12", "sd15"), [
    ...new Array(14).fill(0),
    ...new Array(12).fill(1),
  ]);
  const row = Array.from({ length: 26 }, (_, i) => i / 100);
  assert.deepEqual(startRow(row.join(), "sd15"), row);
  assert.throws(() => startRow("HALF", "sd15"), { name: "ParameterError", field: "start" });
});
