/**
 * The learning rate of a run: up along a cosine, then down along another to nearly nothing (Smith and Topin 2017; torch's
 * `OneCycleLR` with its defaults, Adam's betas left alone).
 *
 * @module
 */

/** Share of the run in which the rate goes up. */
const RISE = 0.3;
/** The rate begins this many times lower than it gets, */
const FIRST_DIVISOR = 25;
/** and ends this many times lower than it began. */
const LAST_DIVISOR = 1e4;

/**
 * @param update its number, 1 for the first
 * @param updates of the run
 * @param highest what the rate goes up to
 */
export function oneCycle(update: number, updates: number, highest: number): number {
  const top = RISE * updates - 1;
  const last = updates - 1;
  const [lowest, end] = [highest / FIRST_DIVISOR, highest / FIRST_DIVISOR / LAST_DIVISOR];
  const at = update - 1;
  return at <= top
    ? cosine(lowest, highest, at / top)
    : cosine(highest, end, (at - top) / (last - top));
}

/** From `start` to `end` as `share` goes from 0 to 1. */
function cosine(start: number, end: number, share: number): number {
  return end + (start - end) / 2 * (1 + Math.cos(Math.PI * share));
}
