/**
 * Rows of block weights that people know by name, from supermerger and merge-block-weighted-gui: weights of the second
 * model for IN00..IN11, M00, OUT00..OUT11. Most are curves over the depth of the U-Net, 0 at IN00 and 1 at OUT11.
 *
 * @module
 */

const BLOCKS = 25;
const DEPTHS = Array.from({ length: BLOCKS }, (_, i) => i / (BLOCKS - 1));

const row = (curve: (x: number) => number): readonly number[] => DEPTHS.map(curve);
const reversed = (weights: readonly number[]) => weights.map((weight) => 1 - weight);

/** 0 except where a range of block numbers (the last one included) says otherwise. */
function ranges(...parts: readonly (readonly [from: number, to: number, weight: number])[]) {
  return row((x) => {
    const block = Math.round(x * (BLOCKS - 1));
    return parts.find(([from, to]) => from <= block && block <= to)?.[2] ?? 0;
  });
}

/** Both ends of the U-Net, each with this many blocks. */
const wrap = (blocks: number) => ranges([0, blocks - 1, 1], [BLOCKS - blocks, BLOCKS - 1, 1]);

/** Up from 0 to 1 and down again, once for every 2 of `x`. */
const zigzag = (x: number) => 1 - Math.abs((x % 2) - 1);
const smoothstep = (x: number) => x * x * (3 - 2 * x);
const cosine = (x: number) => (1 + Math.cos(Math.PI * x)) / 2;
/** At IN00 it is 0, which is not on the curve. */
const trueHermite = (x: number) =>
  x === 0 ? 0 : 25 / 48 - 31 / 48 * (x - 0.5) + 77 / 12 * (x - 0.5) ** 3;
const fakeHermite = (x: number) => 1 / 2 - 7 / 12 * (x - 0.5) + 19 / 3 * (x - 0.5) ** 3;

const SMOOTHSTEPS: Readonly<Record<string, readonly number[]>> = {
  "SMOOTHSTEP*2": row((x) => zigzag(2 * smoothstep(x))),
  "SMOOTHSTEP*3": row((x) => zigzag(3 * smoothstep(x))),
  "SMOOTHSTEP*4": row((x) => zigzag(4 * smoothstep(x))),
  "SMOOTHSTEP/2": row((x) => smoothstep(zigzag(2 * x))),
  "SMOOTHSTEP/3": row((x) => smoothstep(zigzag(3 * x))),
  "SMOOTHSTEP/4": row((x) => smoothstep(zigzag(4 * x))),
};

/** Weights by name. */
export const PRESETS: Readonly<Record<string, readonly number[]>> = {
  GRAD_V: row((x) => Math.abs(1 - 2 * x)),
  GRAD_A: row((x) => 1 - Math.abs(1 - 2 * x)),
  FLAT_25: row(() => 0.25),
  FLAT_50: row(() => 0.5),
  FLAT_75: row(() => 0.75),
  WRAP08: wrap(4),
  WRAP12: wrap(6),
  WRAP14: wrap(7),
  WRAP16: wrap(8),
  MID12_50: ranges([5, 18, 0.5]),
  OUT07: ranges([18, 24, 1]),
  OUT12: ranges([13, 24, 1]),
  OUT12_5: ranges([12, 12, 0.5], [13, 24, 1]),
  RING08_SOFT: ranges([5, 5, 0.5], [6, 8, 1], [9, 9, 0.5], [15, 15, 0.5], [16, 18, 1], [
    19,
    19,
    0.5,
  ]),
  RING08_5: ranges([6, 9, 1], [15, 18, 1]),
  RING10_5: ranges([5, 9, 1], [15, 19, 1]),
  RING10_3: ranges([6, 10, 1], [14, 18, 1]),
  SMOOTHSTEP: row(smoothstep),
  "REVERSE-SMOOTHSTEP": reversed(row(smoothstep)),
  ...SMOOTHSTEPS,
  ...Object.fromEntries(
    Object.entries(SMOOTHSTEPS).map(([name, weights]) => [`R_${name}`, reversed(weights)]),
  ),
  COSINE: row(cosine),
  REVERSE_COSINE: reversed(row(cosine)),
  TRUE_CUBIC_HERMITE: row(trueHermite),
  TRUE_REVERSE_CUBIC_HERMITE: reversed(row(trueHermite)),
  FAKE_CUBIC_HERMITE: row(fakeHermite),
  FAKE_REVERSE_CUBIC_HERMITE: reversed(row(fakeHermite)),
  ALL_A: row(() => 0),
  ALL_B: row(() => 1),
};

/** What presets weigh BASE with, where it is not said: nothing of the second model, except for all of it. */
export function presetBase(name: string): number {
  return name === "ALL_B" ? 1 : 0;
}
