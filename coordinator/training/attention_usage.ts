/** How much each expert is used: SABW's mean attention by block, so that an expert that was dropped shows. @module */

import type { BlockId } from "../../shared/models/blocks.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";

export interface BlockUsage {
  readonly block: BlockId;
  /** Mean attention per expert; sums to 1. */
  readonly shares: readonly number[];
}

export class AttentionUsage {
  readonly #sums = new Map<BlockId, { sums: number[]; rows: number }>();

  /** A map counts by its rows, whatever its pixels. */
  add({ last, attentionMap }: Pick<SegmentReport, "last" | "attentionMap">): void {
    if (!attentionMap) return;
    const [batch, experts, height, width] = attentionMap.shape as [number, number, number, number];
    const entry = this.#sums.get(last) ?? { sums: new Array<number>(experts).fill(0), rows: 0 };
    const pixels = height * width;
    for (let b = 0; b < batch; b++) {
      for (let i = 0; i < experts; i++) {
        const start = (b * experts + i) * pixels;
        let sum = 0;
        for (let k = start; k < start + pixels; k++) sum += attentionMap.data[k]!;
        entry.sums[i]! += sum / pixels;
      }
    }
    entry.rows += batch;
    this.#sums.set(last, entry);
  }

  /** In the order in which the blocks ran. */
  blocks(): BlockUsage[] {
    return [...this.#sums].map(([block, { sums, rows }]) => ({
      block,
      shares: sums.map((sum) => sum / rows),
    }));
  }

  /** Mean over the blocks, per expert. */
  overall(): number[] {
    const blocks = this.blocks();
    return (blocks[0]?.shares ?? []).map((_, i) =>
      blocks.reduce((sum, { shares }) => sum + shares[i]!, 0) / blocks.length
    );
  }

  /** What was counted so far counts no more. */
  reset(): void {
    this.#sums.clear();
  }
}
