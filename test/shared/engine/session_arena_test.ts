import assert from "node:assert/strict";
import {
  arenaLayout,
  sameMemory,
  SessionArena,
  type Slot,
} from "../../../shared/engine/session_arena.ts";
import { addressOf } from "../../../shared/lane/aligned_memory.ts";
import { blockIndex, blockOutputShape } from "../../../shared/models/blocks.ts";
import { byteLength } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const { blocks } = new AffineExpert().description;
/** Odd, so that no halving is even. */
const SIZE = { batch: 3, height: 9, width: 13 };

const endOf = ({ byteOffset, shape }: Slot) => byteOffset + byteLength("float32", shape);
const overlap = (a: Slot, b: Slot) => a.byteOffset < endOf(b) && b.byteOffset < endOf(a);

Deno.test("arenaLayout(): the input of each block has the shape of the output before it", () => {
  const { inputs, results } = arenaLayout(blocks, SIZE);
  assert.deepEqual(inputs[0]!.shape, [3, 4, 9, 13]);
  for (const [index, block] of blocks.entries()) {
    assert.deepEqual(results[index]!.shape, [3, ...blockOutputShape(block, 9, 13)], block.id);
    if (index > 0) assert.deepEqual(inputs[index]!.shape, results[index - 1]!.shape, block.id);
  }
});

Deno.test("arenaLayout(): nothing is overwritten while it is still needed", () => {
  const { inputs, results, bytes } = arenaLayout(blocks, SIZE);
  // Index of the block that reads a block's input last: the one that takes it as skip, or the block itself.
  const lastReader = blocks.map((_, index) =>
    Math.max(index, blocks.findIndex(({ skipFrom }) => skipFrom === blocks[index - 1]?.id))
  );
  for (const [index, input] of inputs.entries()) {
    assert.equal(input.byteOffset % 64, 0);
    assert.ok(endOf(input) <= bytes && endOf(results[index]!) <= bytes);
    assert.ok(!overlap(input, results[index]!), "a block's answer is apart from its input");
    for (let later = index + 1; later <= lastReader[index]!; later++) {
      assert.ok(!overlap(input, inputs[later]!), `${blocks[index]!.id} and ${blocks[later]!.id}`);
    }
    // Within a range, the next input is written while this block reads.
    const next = inputs[index + 1];
    if (next) assert.ok(!overlap(input, next), blocks[index]!.id);
  }
});

Deno.test("arenaLayout() that keeps inputs: every input, answer and skip's gradient has bytes of its own", () => {
  const layout = arenaLayout(blocks, { ...SIZE, keepInputs: true });
  const { inputs, results, gradients, skipGradients, bytes } = layout;
  const [oneTurn, otherTurn] = [0, 1].map((turn) =>
    gradients.filter((_, index) => index % 2 === turn)
  );
  const places = [...inputs, ...skipGradients.values()];
  for (const [i, place] of places.entries()) {
    assert.equal(place.byteOffset % 64, 0);
    const others = [...results, ...gradients, ...places.slice(i + 1)];
    assert.ok(others.every((other) => !overlap(place, other)), `${i}`);
  }
  for (const gradient of oneTurn!) {
    assert.ok([...otherTurn!, ...results].every((other) => !overlap(gradient, other)));
  }
  assert.ok([...places, ...results, ...gradients].every((place) => endOf(place) <= bytes));
});

Deno.test("arenaLayout() that keeps inputs: gradients have the shapes of what they are gradients of", () => {
  const { inputs, results, gradients, skipGradients } = arenaLayout(blocks, {
    ...SIZE,
    keepInputs: true,
  });
  const shapes = [...inputs, results.at(-1)!].map(({ shape }) => shape);
  assert.deepEqual(gradients.map(({ shape }) => shape), shapes);
  const makers = blocks.flatMap(({ skipFrom }) => skipFrom ?? []).toReversed();
  assert.deepEqual([...skipGradients.keys()], makers);
  for (const [id, { shape }] of skipGradients) {
    assert.deepEqual(shape, results[blockIndex(blocks, id)]!.shape, id);
  }
  const plain = arenaLayout(blocks, SIZE);
  assert.deepEqual([plain.gradients.length, plain.skipGradients.size], [0, 0]);
});

Deno.test("SessionArena: aligned tensors over one memory, given or its own", () => {
  const layout = arenaLayout(blocks, SIZE);
  const arena = new SessionArena(layout);
  arena.input(3).data.fill(7);
  assert.ok(arena.input(3).data.every((value) => value === 7));
  assert.equal(addressOf(arena.input(4)) % 64n, 0n);
  assert.ok(sameMemory(arena.input(3), arena.input(3)));
  assert.ok(!sameMemory(arena.input(3), arena.result(2)));
  assert.ok(!sameMemory(arena.input(3), new SessionArena(layout).input(3)));

  const buffer = new ArrayBuffer(layout.bytes + 128);
  const given = new SessionArena(layout, { buffer, byteOffset: 128 });
  given.input(0).data[0] = 5;
  assert.equal(new Float32Array(buffer)[(128 + layout.inputs[0]!.byteOffset) / 4], 5);
});
