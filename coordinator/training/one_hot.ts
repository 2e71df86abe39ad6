/** Which expert is best at each block: a control that needs losses, but no training. @module */

import type { BlockId } from "../../shared/models/blocks.ts";
import { average } from "./held_out.ts";

/** Index of the expert by block. */
export type Choices = ReadonlyMap<BlockId, number>;

export interface ChosenOneHot {
  readonly choices: Choices;
  /** Of each row. */
  readonly losses: readonly number[];
}

/**
 * The choice that one walk over the blocks finds, from the last to the first: each gets the expert with the least mean loss, the other
 * blocks as they are then. Whoever measures it at the draws that it was chosen at gives it more than its due.
 *
 * @param start the expert that all blocks begin with
 * @param lossesOf of each row
 */
export async function greedyOneHot(
  blocks: readonly BlockId[],
  experts: number,
  start: number,
  lossesOf: (choices: Choices) => Promise<readonly number[]>,
): Promise<ChosenOneHot> {
  let choices: Choices = new Map(blocks.map((block) => [block, start]));
  let losses = await lossesOf(choices);
  for (const block of blocks.toReversed()) {
    const current = choices.get(block)!;
    for (let expert = 0; expert < experts; expert++) {
      if (expert === current) continue;
      const changed = new Map(choices).set(block, expert);
      const changedLosses = await lossesOf(changed);
      if (average(changedLosses) < average(losses)) [choices, losses] = [changed, changedLosses];
    }
  }
  return { choices, losses };
}
