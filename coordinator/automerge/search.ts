/**
 * Coordinate search over the weights of blocks, as autoMBW does it (https://github.com/Xerxemi/sdweb-auto-MBW): one group
 * of blocks after the other gets the value that scores best, all else as it is best so far, and then again from the
 * first group on. It knows nothing of models: whoever asks for it scores rows.
 *
 * @module
 */

/** A weight for each block. */
export type Row = readonly number[];

export interface Scored {
  readonly row: Row;
  /** Larger is better. */
  readonly score: number;
}

export interface SearchOptions {
  /** Rows that are scored first, the best of which is gone on from; at least one. */
  readonly starts: readonly Row[];
  /** Indices of weights that share a value, in the order in which they are searched. */
  readonly groups: readonly (readonly number[])[];
  /** `undefined` ends the search: no more tries. */
  readonly score: (row: Row) => Promise<number | undefined>;
  /** Asked after each pass over all groups: whether what it gained is nothing that anyone would see. */
  readonly isSettled: (before: Row, after: Row) => Promise<boolean>;
}

/** 0 to 1 in tenths. */
const VALUES: readonly number[] = Array.from({ length: 11 }, (_, i) => i / 10);

/** Thrown inside a search when there are no more tries. */
class OutOfTries extends Error {}

/** @returns the best row that was scored; never a worse one than the best start */
export async function coordinateSearch(
  { starts, groups, score, isSettled }: SearchOptions,
): Promise<Scored> {
  let best: Scored = { row: starts[0]!, score: -Infinity };
  const scoreOf = async (row: Row): Promise<number> => {
    const value = await score(row);
    if (value === undefined) throw new OutOfTries();
    if (value > best.score) best = { row, score: value };
    return value;
  };
  try {
    for (const row of starts) await scoreOf(row);
    for (;;) {
      const before = best.row;
      for (const group of groups) {
        const { row } = best;
        await halve((value) => scoreOf(row.map((own, i) => group.includes(i) ? value : own)));
      }
      if (await isSettled(before, best.row)) return best;
    }
  } catch (error) {
    if (error instanceof OutOfTries) return best;
    throw error;
  }
}

/**
 * Looks for the best value ("Binary Mid Pass"): scores both ends and the middle of the values that are left, and goes on
 * with the part around the winner, until one is left.
 */
async function halve(scoreOf: (value: number) => Promise<number>): Promise<void> {
  let values = VALUES;
  for (;;) {
    const count = values.length;
    const places = [...new Set([0, Math.floor((count - 1) / 2), count - 1])];
    let [winner, most] = [0, -Infinity];
    for (const place of places) {
      const score = await scoreOf(values[place]!);
      if (score > most) [winner, most] = [place, score];
    }
    if (count === 1) return;
    if (winner === 0) values = values.slice(0, Math.ceil(count / 2));
    else if (winner === count - 1) values = values.slice(Math.floor(count / 2));
    else values = values.slice(Math.floor(count / 4), count - Math.ceil(count / 4));
  }
}

/** BASE and M00 by themselves, then the others, `size` neighbours at a time that share a value. */
export function searchGroups(blocks: readonly string[], size: number): number[][] {
  const alone = (block: string) => !/^(IN|OUT)/.test(block);
  const sides = ["IN", "OUT"].map((side) =>
    blocks.flatMap((block, i) => block.startsWith(side) ? [i] : [])
  );
  const chunks = sides.flatMap((side) =>
    Array.from(
      { length: Math.ceil(side.length / size) },
      (_, i) => side.slice(i * size, (i + 1) * size),
    )
  );
  return [...blocks.flatMap((block, i) => alone(block) ? [[i]] : []), ...chunks];
}
