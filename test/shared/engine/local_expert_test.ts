import assert from "node:assert/strict";
import type { StatelessForward } from "../../../shared/engine/block_expert.ts";
import { type LocalExpert, openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { blockOutputShape } from "../../../shared/models/blocks.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import {
  concatRows,
  f32,
  type F32Tensor,
  i64,
  sliceRows,
  type Tensor,
} from "../../../shared/tensor/tensor.ts";
import { promptIds, randomTensor } from "../../support/expert_inputs.ts";
import { goldenExpert, openGoldenExpert } from "../../support/golden_expert.ts";
import { assertClose, assertFar, Golden } from "../../support/goldens.ts";

async function withExpert(letter: "a" | "b", test: (expert: LocalExpert) => Promise<void>) {
  const expert = await openGoldenExpert(letter);
  try {
    await test(expert);
  } finally {
    await expert.close();
  }
}

/** A whole U-Net pass, block by block with the skips that a session would keep; every block's output. */
async function forwardStateless(
  expert: LocalExpert,
  { x, timestep, ctx }: {
    readonly x: F32Tensor;
    readonly timestep: number;
    readonly ctx: F32Tensor;
  },
): Promise<Map<string, F32Tensor>> {
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const row = await expert.embedTimesteps([timestep]);
  const temb = concatRows(new Array<F32Tensor>(batch).fill(row));
  const outputs = new Map<string, F32Tensor>();
  let hiddenStates = x;
  for (const block of expert.description.blocks) {
    const residual = block.skipFrom && outputs.get(block.skipFrom);
    const [, h, w] = blockOutputShape(block, height, width);
    const result = await expert.forwardBlock({
      block: block.id,
      hiddenStates,
      temb,
      encoderHiddenStates: ctx,
      ...(residual && { residual }),
      ...(block.upsamples && { targetSize: [h, w] as const }),
    });
    hiddenStates = result.hiddenStates;
    outputs.set(block.id, hiddenStates);
  }
  return outputs;
}

Deno.test("every block of the U-Net agrees with the reference numbers", () =>
  withExpert("a", async (expert) => {
    const golden = await Golden.read("sd15", "expected", "unet.safetensors");
    const [timestep = 0] = golden.numbers("timestep");
    const inputs = { x: golden.f32("x"), timestep, ctx: golden.f32("ctx") };
    const temb = await expert.embedTimesteps([timestep, timestep]);
    assertClose("temb", temb, golden.f32("temb"));
    const outputs = await forwardStateless(expert, inputs);
    assert.equal(outputs.size, 25);
    for (const [id, output] of outputs) assertClose(id, output, golden.f32(`block.${id}`));
    assertClose("eps", outputs.get("OUT11")!, golden.f32("eps"));
  }));

Deno.test("a latent that halves to odd sizes agrees with the reference, block by block too", () =>
  withExpert("b", async (expert) => {
    const golden = await Golden.read("sd15", "expected", "unet_odd_size.safetensors");
    const [timestep = 0] = golden.numbers("timestep");
    const inputs = { x: golden.f32("x"), timestep, ctx: golden.f32("ctx") };
    const outputs = await forwardStateless(expert, inputs);
    assert.deepEqual(outputs.get("M00")!.shape.slice(2), [2, 3]);
    assertClose("eps", outputs.get("OUT11")!, golden.f32("eps"));
  }));

Deno.test("text states of both experts agree with the reference numbers", async () => {
  const golden = await Golden.read("sd15", "expected", "text.safetensors");
  const inputIds = golden.tensor("input_ids") as Tensor<"int64">;
  for (const letter of ["a", "b"] as const) {
    await withExpert(letter, async (expert) => {
      const encoding = await expert.encodeText(inputIds);
      const expected = golden.f32(`last_hidden_state.${letter}`);
      assertClose(`last hidden state of ${letter}`, encoding.lastHiddenState, expected);
      if (letter === "b") return;
      assertClose("penultimate", encoding.penultimateHiddenState, golden.f32("penultimate.a"));
      assertClose("pooled", encoding.pooled, golden.f32("pooled.a"));
    });
  }
});

Deno.test("the text encoder is causal: a later token changes no earlier state", () =>
  withExpert("a", async (expert) => {
    const row = [298, 5, 17, 3, ...new Array(12).fill(299)];
    const other = row.with(3, 9);
    const states = await Promise.all(
      [row, other].map(async (ids) => (await expert.encodeText(i64([1, 16], ids))).lastHiddenState),
    );
    const [a, b] = states.map(({ data }) => data);
    const width = states[0]!.shape[2]!;
    assert.ok(bitEqual(a!.subarray(0, 3 * width), b!.subarray(0, 3 * width)));
    assert.ok(difference(a!.subarray(3 * width), b!.subarray(3 * width)).relativeL2 > 1e-3);
  }));

Deno.test("text: rows do not depend on each other; the pooled state is that of the first end token", () =>
  withExpert("a", async (expert) => {
    const ids = promptIds(expert.description);
    const both = await expert.encodeText(ids);
    for (const row of [0, 1]) {
      const alone = await expert.encodeText(sliceRows(ids, row, row + 1));
      const part = sliceRows(both.lastHiddenState, row, row + 1);
      assertClose(`row ${row}`, part, alone.lastHiddenState, 1e-6);
    }
    const [length = 0, width = 0] = both.lastHiddenState.shape.slice(1);
    const firstEnds = [1, 4];
    firstEnds.forEach((position, row) => {
      const start = (row * length + position) * width;
      const state = both.lastHiddenState.data.subarray(start, start + width);
      assert.deepEqual(both.pooled.data.subarray(row * width, (row + 1) * width), state);
    });
  }));

Deno.test("encodeText() refuses other lengths, ids out of the vocabulary, and rows without an end", () =>
  withExpert("a", async (expert) => {
    const row = (ids: readonly number[]) => i64([1, ids.length], ids);
    const ids = [298, 5, ...new Array(14).fill(299)];
    await assert.rejects(expert.encodeText(row(ids.slice(1))), {
      name: "ShapeError",
      message: "input_ids must be int64 [1, 16]: current value is int64 [1, 15]",
    });
    for (const id of [300, -1]) {
      await assert.rejects(expert.encodeText(row(ids.with(1, id))), {
        name: "ShapeError",
        message: `input_ids must lie in 0..299: current value is ${id}`,
      });
    }
    await assert.rejects(expert.encodeText(row(new Array(16).fill(5))), {
      name: "ShapeError",
      message: "input_ids must hold the end token 299 in every row: row 0 does not",
    });
    await expert.encodeText(row(ids));
  }));

Deno.test("embedTimesteps() gives one row a timestep, and refuses none and NaN", () =>
  withExpert("a", async (expert) => {
    const all = await expert.embedTimesteps([981, 0, 0.5]);
    assert.deepEqual(all.shape, [3, 64]);
    assertClose("row 2", sliceRows(all, 2, 3), await expert.embedTimesteps([0.5]), 1e-6);
    assertFar("rows 0 and 1", sliceRows(all, 0, 1), sliceRows(all, 1, 2));
    for (const timesteps of [[], [1, NaN], [Infinity]]) {
      await assert.rejects(expert.embedTimesteps(timesteps), {
        name: "ShapeError",
        message: /^timesteps must be one or more finite numbers/,
      });
    }
  }));

/** A good request for a block, of an 8 x 8 latent. */
function requestFor(expert: LocalExpert, id: string): StatelessForward {
  const { blocks, timeEmbedDim, crossAttentionDim } = expert.description;
  const block = blocks.find((candidate) => candidate.id === id)!;
  const size = 8 / 2 ** block.inScale;
  return {
    block: id,
    hiddenStates: randomTensor([2, block.inChannels, size, size], 1),
    temb: randomTensor([2, timeEmbedDim], 2),
    encoderHiddenStates: randomTensor([2, 16, crossAttentionDim], 3),
    ...(block.skipFrom && { residual: randomTensor([2, block.skipChannels, size, size], 4) }),
  };
}

Deno.test("forwardBlock() refuses wrong shapes, dtypes and blocks by name, and the next good call works", () =>
  withExpert("a", async (expert) => {
    const good = requestFor(expert, "OUT08");
    const { residual: _, ...withoutSkip } = good;
    const bad: readonly (readonly [StatelessForward, RegExp])[] = [
      [
        { ...good, hiddenStates: f32([2, 31, 4, 4]) },
        /^hidden_states must be float32 \[2, 32, 4, 4\]: current value is float32 \[2, 31, 4, 4\]$/,
      ],
      [
        { ...good, hiddenStates: f32([2, 32, 4]) },
        /^hidden_states must be float32 \[2, 32, 4, 0\]/,
      ],
      [{ ...good, hiddenStates: f32([0, 32, 4, 4]) }, /^hidden_states must not be empty/],
      [{ ...good, hiddenStates: f32([2, 32, 0, 4]) }, /^hidden_states must not be empty/],
      [{ ...good, temb: f32([1, 64]) }, /^temb must be float32 \[2, 64\]/],
      [{ ...good, temb: i64([2, 64], new Array(128).fill(0)) as never }, /^temb must be float32/],
      [
        { ...good, encoderHiddenStates: f32([2, 16, 23]) },
        /^encoder_hidden_states must be float32/,
      ],
      [{ ...good, encoderHiddenStates: f32([2, 0, 24]) }, /^encoder_hidden_states must be float32/],
      [{ ...good, residual: f32([2, 16, 4, 3]) }, /^residual must be float32 \[2, 16, 4, 4\]/],
      [withoutSkip, /^residual must be given for OUT08: it is the skip of IN03$/],
      [
        { ...good, targetSize: [9, 8] },
        /^target height must be 7 or 8 for an input of 4: current value is 9$/,
      ],
      [{ ...good, targetSize: [8, 7.5] }, /^target width must be 7 or 8/],
    ];
    for (const [request, message] of bad) {
      await assert.rejects(expert.forwardBlock(request), { name: "ShapeError", message });
    }
    await assert.rejects(expert.forwardBlock({ ...good, block: "OUT12" }), {
      code: "NOT_FOUND",
      message: 'block must be one of IN00..OUT11: current value is "OUT12"',
    });
    assert.deepEqual((await expert.forwardBlock(good)).hiddenStates.shape, [2, 32, 8, 8]);
    const odd = await expert.forwardBlock({ ...good, targetSize: [7, 8] });
    assert.deepEqual(odd.hiddenStates.shape, [2, 32, 7, 8]);
  }));

Deno.test("NaN and infinity in a block's output are DATA_LOSS that names the block; the next good call works", () =>
  withExpert("a", async (expert) => {
    for (const id of ["IN00", "IN05", "M00", "OUT11"]) {
      const good = requestFor(expert, id);
      for (const poison of [NaN, Infinity]) {
        const hiddenStates = f32(good.hiddenStates.shape, good.hiddenStates.data.slice());
        hiddenStates.data[7] = poison;
        await assert.rejects(expert.forwardBlock({ ...good, hiddenStates }), {
          name: "TuttiError",
          code: "DATA_LOSS",
          message: new RegExp(`^Output of expert-a ${id} must be finite: value \\d+ of float32 `),
          details: { model: "expert-a", block: id },
        });
      }
      assert.ok((await expert.forwardBlock(good)).hiddenStates.data.every(Number.isFinite));
    }
  }));

Deno.test("every input of a block turns its output", () =>
  withExpert("a", async (expert) => {
    const good = requestFor(expert, "OUT05");
    const { hiddenStates: base } = await expert.forwardBlock(good);
    for (const input of ["hiddenStates", "temb", "encoderHiddenStates", "residual"] as const) {
      const changed = { ...good, [input]: randomTensor(good[input]!.shape, 99) };
      assertFar(input, (await expert.forwardBlock(changed)).hiddenStates, base, 1e-3);
    }
  }));

Deno.test("the description tells what the files say, and two experts apart", async () => {
  const [a, b] = [await openGoldenExpert("a"), await openGoldenExpert("b")];
  try {
    const { modelHash: hashA, fingerprint: printA, ...restA } = a.description;
    const { modelHash: hashB, fingerprint: printB, ...restB } = b.description;
    assert.notEqual(hashA, hashB);
    assert.match(hashA, /^[0-9a-f]{64}$/);
    assert.deepEqual(printA, printB, "the same graphs on the same machine");
    assert.deepEqual({ ...restA, name: "" }, { ...restB, name: "" });
    assert.equal(restA.name, "expert-a");
    assert.deepEqual([restA.family, restA.predictionType], ["sd15", "epsilon"]);
    assert.deepEqual([restA.latentChannels, restA.sampleSize], [4, 8]);
    assert.deepEqual([restA.timeEmbedDim, restA.crossAttentionDim], [64, 24]);
    assert.equal(restA.blocks.length, 25);
    assert.match(printA.runtime, /^onnxruntime \d+\.\d+/);
    assert.deepEqual([printA.device, printA.threads], ["cpu", 1]);
    const twoThreads = await openLocalExpert({
      model: goldenExpert("a"),
      device: "cpu",
      lanes: 1,
      threads: 2,
      name: "renamed",
    });
    await twoThreads.close();
    assert.equal(twoThreads.description.name, "renamed");
    assert.notDeepEqual(twoThreads.description.fingerprint, printA);
    assert.equal(twoThreads.description.fingerprint.graphHash, printA.graphHash);
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
});

Deno.test("openLocalExpert() refuses lanes and threads below one", async () => {
  for (
    const [options, flag] of [[{ lanes: 0, threads: 1 }, "lanes"], [
      { lanes: 1, threads: 1.5 },
      "threads",
    ]] as const
  ) {
    await assert.rejects(
      openLocalExpert({ model: goldenExpert("a"), device: "cpu", ...options }),
      { name: "UsageError", message: new RegExp(`^--${flag} must be a whole number >= 1`) },
    );
  }
});

Deno.test("a closed expert refuses", async () => {
  const expert = await openGoldenExpert("a");
  await expert.close();
  await assert.rejects(expert.embedTimesteps([1]), { code: "UNAVAILABLE" });
});
