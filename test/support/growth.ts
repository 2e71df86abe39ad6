/**
 * How the work of a function grows with its input, told from two sizes in one run: whole machines differ by more than
 * linear and quadratic time do.
 *
 * @module
 */

import assert from "node:assert/strict";
import process from "node:process";

/** The larger of the two inputs is so many times as large. Linear work grows as much, quadratic work by its square. */
const FACTOR = 8;
const MAX_GROWTH = FACTOR ** 1.5;
/** Of the smaller one, ms of a core: below it, how long other things take is what is measured. */
const MIN_MS = 2;
/** Rounds until one is convincing: what a machine does beside it only adds to the time of one of the two. */
const ROUNDS = 5;

/**
 * Fails where eight times as much input takes clearly more than eight times as long.
 *
 * @param work on an input of about this length
 * @param options.length of the smaller input, which is doubled until its work takes long enough to be told
 */
export function assertGrowsLinearly(
  work: (length: number) => void,
  { length, name = "" }: { readonly length: number; readonly name?: string },
): void {
  let small = length;
  work(small);
  while (busyMs(() => work(small)) < MIN_MS && small < 256 * length) small *= 2;
  let least = Infinity;
  for (let round = 0; round < ROUNDS && least > MAX_GROWTH; round++) {
    const ms = busyMs(() => work(small));
    least = Math.min(least, busyMs(() => work(FACTOR * small)) / Math.max(ms, MIN_MS));
  }
  assert.ok(least <= MAX_GROWTH, `${name}: ${FACTOR} times the input takes ${least} times as long`);
}

/** Time of cores that this process had meanwhile, ms; what others have does not count. */
function busyMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
