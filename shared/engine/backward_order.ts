/**
 * In which order a session's gradients may be asked for: the reverse of the order in which the blocks of the step ran, in
 * ranges of which none crosses a place where features left the session. Both ends keep it, so that a coordinator refuses
 * before a tensor travels.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { type BlockId, type BlockSpec, requireBlockIndex } from "../models/blocks.ts";
import type { SessionBackward } from "./expert.ts";

export class BackwardOrder {
  readonly #blocks: readonly BlockSpec[];
  /** Blocks whose output left the session in this step. */
  readonly #ends = new Set<BlockId>();
  /** The step all of whose blocks have run, if that is so. */
  #stepIndex: number | undefined;
  /** Index of the block that a range may end with, beside the last of all. */
  #next = 0;

  constructor(blocks: readonly BlockSpec[]) {
    this.#blocks = blocks;
  }

  /** Blocks begin to run: what was kept for the way back does not stay. */
  interrupt(): void {
    this.#stepIndex = undefined;
  }

  /** The blocks of these indices have run, and the output of the last left the session. */
  ran(first: number, last: number, stepIndex: number): void {
    if (first === 0) this.#ends.clear();
    this.#ends.add(this.#blocks[last]!.id);
    this.#next = this.#blocks.length - 1;
    this.#stepIndex = last === this.#next ? stepIndex : undefined;
  }

  /**
   * A range that ends with this index begins. At the last block that is a new way back: the one before cannot be gone on
   * with, even if this range fails.
   */
  goes(last: number): void {
    if (last === this.#blocks.length - 1) this.#next = last;
  }

  /** The gradients of a range that starts at this index are done. */
  went(first: number): void {
    this.#next = first - 1;
  }

  /** Whether a block's output left the session, so that the gradient of its skip has to leave it, too. */
  hasLeft(block: BlockId): boolean {
    return this.#ends.has(block);
  }

  /**
   * The skips whose gradients leave the session with a range, in the order in which the blocks that made them run.
   *
   * @param first, last indices
   */
  leavingSkips(first: number, last: number): BlockId[] {
    return this.#blocks.slice(first, last + 1).toReversed().flatMap(({ skipFrom }) =>
      skipFrom !== undefined && this.hasLeft(skipFrom) ? [skipFrom] : []
    );
  }

  /**
   * Indices of the range's ends.
   *
   * @throws {TuttiError} NOT_FOUND for an unknown block, FAILED_PRECONDITION for a range that may not come now
   */
  locate(
    { first, last, stepIndex }: Omit<SessionBackward, "gradOutput">,
  ): { readonly first: number; readonly last: number } {
    const [from, to] = [
      requireBlockIndex(this.#blocks, "first", first),
      requireBlockIndex(this.#blocks, "last", last),
    ];
    const current = `current request is ${first}..${last} of step ${stepIndex}`;
    if (this.#stepIndex === undefined) {
      throw refusal(first, `The way back begins when all blocks of a step have run: ${current}`);
    }
    const end = this.#blocks.length - 1;
    if (stepIndex !== this.#stepIndex || !(to === end || to === this.#next) || to < from) {
      const next = this.#blocks[this.#next]?.id;
      const wanted = next === undefined || this.#next === end
        ? `..${this.#blocks[end]!.id}`
        : `..${next}, or ..${this.#blocks[end]!.id} to begin again,`;
      throw refusal(
        first,
        `Gradients go from the last block to the first: next is ${wanted} of step ${this.#stepIndex}: ${current}`,
      );
    }
    const left = this.#blocks.slice(from, to).findLast(({ id }) => this.hasLeft(id));
    if (left) {
      throw refusal(
        first,
        `A range of the way back must not cross ${left.id}, whose output left the session: ${current}`,
      );
    }
    return { first: from, last: to };
  }
}

/** Of a session that keeps no inputs. */
export function noInputsKept(): TuttiError {
  return new TuttiError(
    "FAILED_PRECONDITION",
    "A session must be opened with keep_inputs to give gradients: this one keeps no inputs",
    { details: { field: "keep_inputs" } },
  );
}

function refusal(block: BlockId, message: string): TuttiError {
  return new TuttiError("FAILED_PRECONDITION", message, { details: { block } });
}
