/**
 * Where a session's feature maps lie in memory: one block of bytes, laid out by sizes alone, so that the two ends of
 * a shared mapping find every map without asking each other. A map is written where it is read next: the output of an
 * IN block is the next block's input and, twelve blocks later, a skip, and it never moves.
 *
 * Letters: B rows, C channels, h w pixels of a block.
 *
 * @module
 */

import { alignedTensor } from "../lane/aligned_memory.ts";
import { type BlockId, blockOutputShape, type BlockSpec, sizeAtScale } from "../models/blocks.ts";
import { byteLength, elementCount, f32, type F32Tensor, type Shape } from "../tensor/tensor.ts";

/** B, and H and W in latent pixels. */
export interface ArenaSize {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Whether there is to be a way back: no input is overwritten within a step, and gradients have places. */
  readonly keepInputs?: boolean;
}

/** One feature map, f32. */
export interface Slot {
  /** From the arena's first byte, a multiple of 64: what kernels want, and bit identity needs. */
  readonly byteOffset: number;
  /** `[B, C, h, w]` */
  readonly shape: Shape;
}

export interface ArenaLayout {
  readonly bytes: number;
  /** Input of each block, in the table's order. Where it is a skip, no other map shares its bytes. */
  readonly inputs: readonly Slot[];
  /** Output of each block, where that is what the session answers with. All in the same place. */
  readonly results: readonly Slot[];
  /**
   * With `keepInputs`, else empty: gradient of the input of each block, and last of the output of all. Two places in
   * turn: the gradient of a block's output lies in one, that of its input in the other.
   */
  readonly gradients: readonly Slot[];
  /** With `keepInputs`: gradient of the skip that each block made. */
  readonly skipGradients: ReadonlyMap<BlockId, Slot>;
}

/** Memory of an arena: at `byteOffset`, whose address 64 divides, and as long as the layout says. */
export interface ArenaMemory {
  readonly buffer: ArrayBuffer;
  readonly byteOffset: number;
}

const ALIGNMENT_BYTES = 64;

export function arenaLayout(blocks: readonly BlockSpec[], size: ArenaSize): ArenaLayout {
  const { batch, height, width, keepInputs = false } = size;
  const inputShapes = blocks.map(({ inChannels, inScale }): Shape => [
    batch,
    inChannels,
    sizeAtScale(height, inScale),
    sizeAtScale(width, inScale),
  ]);
  const resultShapes = blocks.map((block): Shape => [
    batch,
    ...blockOutputShape(block, height, width),
  ]);
  let end = 0;
  const take = (shapes: readonly Shape[]): number => {
    const start = end;
    const bytes = Math.max(0, ...shapes.map((shape) => byteLength("float32", shape)));
    end += Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return start;
  };
  const skips = new Set(blocks.flatMap(({ skipFrom }) => skipFrom ?? []));
  const isKept = (index: number) => keepInputs || (index > 0 && skips.has(blocks[index - 1]!.id));
  // Two places in turn: within a range a block reads the one while it writes the other.
  const passing = [0, 1].map((turn) =>
    take(inputShapes.filter((_, index) => !isKept(index) && index % 2 === turn))
  );
  const inputs = inputShapes.map((shape, index): Slot => ({
    byteOffset: isKept(index) ? take([shape]) : passing[index % 2]!,
    shape,
  }));
  const result = take(resultShapes);
  const gradientShapes = keepInputs ? [...inputShapes, ...resultShapes.slice(-1)] : [];
  const turns = [0, 1].map((turn) => take(gradientShapes.filter((_, index) => index % 2 === turn)));
  const gradients = gradientShapes.map((shape, index) => ({
    byteOffset: turns[index % 2]!,
    shape,
  }));
  const skipGradients = new Map(
    blocks.flatMap(({ id }, index) => {
      if (!keepInputs || !skips.has(id)) return [];
      const shape = resultShapes[index]!;
      return [[id, { byteOffset: take([shape]), shape }] as const];
    }),
  );
  return {
    bytes: end,
    inputs,
    results: resultShapes.map((shape) => ({ byteOffset: result, shape })),
    gradients,
    skipGradients,
  };
}

/** A session's feature maps as tensors. */
export class SessionArena {
  readonly layout: ArenaLayout;
  readonly #memory: ArenaMemory;

  /** @param memory without it, memory of this process alone */
  constructor(layout: ArenaLayout, memory: ArenaMemory = privateMemory(layout.bytes)) {
    this.layout = layout;
    this.#memory = memory;
  }

  /** Where block `index` reads its input. */
  input(index: number): F32Tensor {
    return this.#tensor(this.layout.inputs[index]!);
  }

  /** Of a session that keeps inputs: the gradient of the input of block `index`; after the last block, of its output. */
  gradient(index: number): F32Tensor {
    return this.#tensor(this.layout.gradients[index]!);
  }

  /** Of a session that keeps inputs: the gradient of the skip that a block made. */
  skipGradient(producer: BlockId): F32Tensor {
    return this.#tensor(this.layout.skipGradients.get(producer)!);
  }

  /** Where the session's answer goes if block `index` is the last of a range. */
  result(index: number): F32Tensor {
    return this.#tensor(this.layout.results[index]!);
  }

  #tensor({ byteOffset, shape }: Slot): F32Tensor {
    const { buffer, byteOffset: start } = this.#memory;
    return f32(shape, new Float32Array(buffer, start + byteOffset, elementCount(shape)));
  }
}

function privateMemory(bytes: number): ArenaMemory {
  const { buffer, byteOffset } = alignedTensor("uint8", [bytes]).data;
  return { buffer: buffer as ArrayBuffer, byteOffset };
}

/** Whether two tensors are the same bytes of the same memory. */
export function sameMemory({ data: a }: F32Tensor, { data: b }: F32Tensor): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.length === b.length;
}
