/**
 * Puts a new session where a lost one stood in its step. Usually nothing is computed again: all that a U-Net's later blocks
 * need of the earlier ones are skips, and those were inputs that are kept here.
 *
 * @module
 */

import type { ExpertSession } from "../../../shared/engine/expert.ts";
import { blockIndex, type BlockSpec } from "../../../shared/models/blocks.ts";
import type { KeptInputs, KeptRange } from "./kept_inputs.ts";

export interface Replayed {
  /** Inputs that were only kept, and ranges that were computed again. */
  readonly restored: number;
  readonly repeated: number;
}

/**
 * @param session newly opened
 * @throws {TuttiError} as the session's own methods
 */
export async function replay(
  session: ExpertSession,
  blocks: readonly BlockSpec[],
  kept: KeptInputs,
  options: { readonly keepInputs: boolean; readonly signal?: AbortSignal },
): Promise<Replayed> {
  const { keepInputs, signal } = options;
  const { ranges, gradients } = kept;
  const restores = keepInputs || !session.restore ? undefined : restoringRanges(blocks, ranges);
  for (const range of restores ?? []) {
    await session.restore!(withInput(range.of, { last: range.last }), signal);
  }
  if (restores) return { restored: restores.length, repeated: 0 };
  for (const range of ranges) await session.forward(withInput(range), signal);
  for (const range of gradients) await session.backward!(range, signal);
  return { restored: 0, repeated: ranges.length + gradients.length };
}

interface RestoringRange {
  /** Range whose input is kept. */
  readonly of: KeptRange;
  /** Block after which the session goes on. */
  readonly last: string;
}

/**
 * The inputs that blocks after these ranges take as skips, each with the blocks up to the next of them.
 *
 * @returns undefined if one of them never left the worker, so that it has to be computed again
 */
export function restoringRanges(
  blocks: readonly BlockSpec[],
  ranges: readonly KeptRange[],
): RestoringRange[] | undefined {
  const last = ranges.at(-1)?.last;
  if (last === undefined) return [];
  const indexOf = (id: string) => blockIndex(blocks, id);
  const end = indexOf(last) + 1;
  // The output of the block before is the input of the range that is to run now.
  const skips = blocks.slice(end).flatMap(({ skipFrom }) =>
    skipFrom === undefined || indexOf(skipFrom) + 1 >= end ? [] : [indexOf(skipFrom) + 1]
  );
  const starts = [...new Set([0, ...skips])].sort((a, b) => a - b);
  const kept = starts.map((start) => ranges.find(({ first }) => indexOf(first) === start));
  if (!kept.every((range) => range !== undefined)) return undefined;
  return kept.map((of, i) => ({ of, last: blocks[(starts[i + 1] ?? end) - 1]!.id }));
}

function withInput(range: KeptRange, { last } = range as { readonly last: string }) {
  const { stepIndex, first, hiddenStates } = range;
  return { stepIndex, first, last, hiddenStates };
}
