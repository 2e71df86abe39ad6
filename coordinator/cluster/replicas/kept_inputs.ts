/**
 * What one session was given in the step that runs: enough to put another session where it stands. Sessions of all experts get
 * the same aggregated features, so one of them keeps the memory and the others refer to it.
 *
 * @module
 */

import type { ForwardRange, SessionBackward } from "../../../shared/engine/expert.ts";
import type { Slot } from "../../../shared/engine/session_arena.ts";
import { sameMemory } from "../../../shared/engine/session_arena.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { alignedTensor } from "../../../shared/lane/aligned_memory.ts";
import { type BlockId, blockIndex, type BlockSpec } from "../../../shared/models/blocks.ts";
import { copyTensor, type F32Tensor } from "../../../shared/tensor/tensor.ts";

/** Memory of one session in which it keeps the input of one block. */
interface Place {
  readonly tensor: F32Tensor;
  /** Times that it was given away to be overwritten. */
  generation: number;
}

/** All that is kept by anybody, by the memory that it lies in. */
const PLACES = new WeakMap<ArrayBufferLike, Place>();

export class KeptInputs {
  readonly #blocks: readonly BlockSpec[];
  readonly #slots: readonly Slot[];
  readonly #own = new Map<BlockId, Place>();
  #ranges: KeptRange[] = [];
  #gradients: SessionBackward[] = [];

  /** @param slots shape of every block's input */
  constructor(blocks: readonly BlockSpec[], slots: readonly Slot[]) {
    this.#blocks = blocks;
    this.#slots = slots;
  }

  /** The ranges of this step that have run, in order. */
  get ranges(): readonly KeptRange[] {
    return this.#ranges;
  }

  /** What the way back through this step was given, from the last block on. */
  get gradients(): readonly SessionBackward[] {
    return this.#gradients;
  }

  /** Where the input of a block is kept: whoever writes it there saves a copy. Undefined for an unknown block. */
  buffer(block: BlockId): F32Tensor | undefined {
    const place = this.#place(block);
    if (place) place.generation++;
    return place?.tensor;
  }

  /**
   * The same range, which is to run, with an input that stays as it is for the rest of the step. A wrong one stays wrong.
   * The first block begins a new step.
   */
  keep(range: ForwardRange): KeptRange {
    const { first, hiddenStates } = range;
    this.#gradients = [];
    if (first === this.#blocks[0]!.id) this.#ranges = [];
    const there = PLACES.get(hiddenStates.data.buffer);
    if (there && sameMemory(there.tensor, hiddenStates)) {
      return new KeptRange(range, there, there.generation);
    }
    const place = this.#place(first);
    if (place?.tensor.shape.join() !== hiddenStates.shape.join()) return new KeptRange(range);
    place.generation++;
    place.tensor.data.set(hiddenStates.data);
    return new KeptRange({ ...range, hiddenStates: place.tensor }, place, place.generation);
  }

  /** A range has run. */
  ran(range: KeptRange): void {
    this.#ranges.push(range);
  }

  /** A range of the way back is to run: what it is given stays as it is from here on. */
  keepGradient(range: SessionBackward): SessionBackward {
    return { ...range, gradOutput: copyTensor(range.gradOutput) };
  }

  /** A range of the way back has run. The last block begins a new way back. */
  wentBack(range: SessionBackward): void {
    if (range.last === this.#blocks.at(-1)!.id) this.#gradients = [];
    this.#gradients.push(range);
  }

  #place(block: BlockId): Place | undefined {
    const known = this.#own.get(block);
    const slot = this.#slots[blockIndex(this.#blocks, block)];
    if (known || !slot) return known;
    const place = { tensor: alignedTensor("float32", slot.shape), generation: 0 };
    this.#own.set(block, place);
    PLACES.set(place.tensor.data.buffer, place);
    return place;
  }
}

/** A range whose input is kept. */
export class KeptRange implements Omit<ForwardRange, "hiddenStates"> {
  readonly stepIndex: number;
  readonly first: BlockId;
  readonly last: BlockId;
  readonly #range: ForwardRange;
  readonly #place: Place | undefined;
  readonly #generation: number;

  constructor(range: ForwardRange, place?: Place, generation = 0) {
    this.stepIndex = range.stepIndex;
    this.first = range.first;
    this.last = range.last;
    this.#range = range;
    this.#place = place;
    this.#generation = generation;
  }

  /** @throws {TuttiError} INTERNAL if its memory has been written since: better no image than a wrong one */
  get hiddenStates(): F32Tensor {
    if (this.#place && this.#place.generation !== this.#generation) {
      throw new TuttiError("INTERNAL", `The input of block "${this.first}" is not kept any more`, {
        details: { block: this.first, stepIndex: String(this.stepIndex) },
      });
    }
    return this.#range.hiddenStates;
  }
}
