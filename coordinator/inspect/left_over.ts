/**
 * Tensors of a single file that no part uses: running averages that training left behind, schedules, and whatever else
 * people pack. They are ignored; a reader wants to know that.
 *
 * @module
 */

import type { WeightTable } from "../../shared/models/weights.ts";
import { openModelFile } from "../../shared/checkpoint/model_file.ts";

export interface LeftOver {
  /** Running averages of the weights (EMA). */
  readonly emaCopies: number;
  readonly emaBytes: number;
  /** Keys of all others. */
  readonly others: readonly string[];
}

const EMA_PREFIX = "model_ema.";

/** @param tables of all parts; their tensors, and runs of rows of tensors, begin at offsets of the file */
export async function leftOver(path: string, tables: readonly WeightTable[]): Promise<LeftOver> {
  const used = new Set(tables.flatMap((table) => [...table.values()].map(({ offset }) => offset)));
  const { entries, foreign } = await openModelFile(path);
  // A tensor without elements begins where another does, too; nobody misses it.
  const unused = [...entries.values(), ...foreign.values()].filter(({ begin }) => !used.has(begin));
  const ema = unused.filter(({ name }) => name.startsWith(EMA_PREFIX));
  return {
    emaCopies: ema.length,
    emaBytes: ema.reduce((sum, { begin, end }) => sum + end - begin, 0),
    others: unused.map(({ name }) => name).filter((name) => !name.startsWith(EMA_PREFIX)),
  };
}
