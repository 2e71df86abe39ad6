import assert from "node:assert/strict";
import { encodeRows } from "../../../coordinator/sampling/text_states.ts";
import type { Expert, TextOptions } from "../../../shared/engine/expert.ts";
import type { PromptChunk } from "../../../shared/prompt/chunks.ts";
import { emphasize } from "../../../shared/prompt/emphasis.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor, i64, sliceRows, type Tensor } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const L = 7, D = 6;

/** A chunk of the affine expert's length: one word, one weight. */
function chunk(word: number, weight = 1): PromptChunk {
  return { inputIds: [98, word, 99, 99, 99, 99, 99], weights: [1, weight, 1, 1, 1, 1, 1] };
}

/** An expert that remembers what it was asked to encode. */
class Recorder extends AffineExpert {
  readonly calls: { readonly ids: Tensor<"int64">; readonly options: TextOptions | undefined }[] =
    [];
  override encodeText(ids: Tensor<"int64">, options?: TextOptions) {
    this.calls.push({ ids, options });
    return super.encodeText(ids, options);
  }
}

/** States of one chunk by itself, f32 `[1, L, D]`. */
async function statesOf(expert: Expert, { inputIds }: PromptChunk): Promise<F32Tensor> {
  return (await expert.encodeText(i64([1, L], inputIds))).lastHiddenState;
}

Deno.test("encodeRows() lays a row's chunks one after the other on the token axis", async () => {
  const expert = new AffineExpert();
  const rows = [[chunk(5), chunk(6)], [chunk(7), chunk(5)]];
  const { states } = await encodeRows(expert, rows);
  assert.deepEqual(states.shape, [2, 2 * L, D]);
  for (const [r, row] of rows.entries()) {
    const { data } = sliceRows(states, r, r + 1);
    for (const [k, one] of row.entries()) {
      const expected = await statesOf(expert, one);
      assert.ok(bitEqual(data.subarray(k * L * D, (k + 1) * L * D), expected.data), `${r}, ${k}`);
    }
  }
});

Deno.test("encodeRows() encodes each different chunk once, whatever its weights", async () => {
  const expert = new Recorder();
  const { states } = await encodeRows(expert, [[chunk(5), chunk(6, 2)], [chunk(6), chunk(5)]]);
  assert.deepEqual(expert.calls.map(({ ids }) => ids.shape), [[2, L]]);
  const [plain, weighted] = [sliceRows(states, 1, 2).data, sliceRows(states, 0, 1).data];
  assert.ok(bitEqual(weighted.subarray(0, L * D), plain.subarray(L * D)));
  const six = f32([1, L, D], plain.slice(0, L * D));
  assert.ok(
    bitEqual(weighted.subarray(L * D), emphasize(six, [chunk(6, 2).weights]).data),
  );
  assert.ok(!bitEqual(weighted.subarray(L * D), six.data));
});

Deno.test("encodeRows() takes bare ids for one chunk without weights", async () => {
  const expert = new AffineExpert();
  const { states: bare } = await encodeRows(expert, [chunk(5).inputIds, chunk(6).inputIds]);
  const { states: chunks } = await encodeRows(expert, [[chunk(5)], [chunk(6)]]);
  assert.deepEqual(bare.shape, [2, L, D]);
  assert.ok(bitEqual(bare.data, chunks.data));
});

Deno.test("encodeRows() asks for many chunks in several calls", async () => {
  const expert = new Recorder();
  const row = Array.from({ length: 20 }, (_, i) => chunk(i));
  const { states } = await encodeRows(expert, [row]);
  assert.deepEqual(expert.calls.map(({ ids }) => ids.shape[0]), [16, 4]);
  assert.deepEqual(states.shape, [1, 20 * L, D]);
  const last = await statesOf(expert, row[19]!);
  assert.ok(bitEqual(states.data.subarray(19 * L * D), last.data));
});

Deno.test("encodeRows() passes encoder and clipSkip on", async () => {
  const expert = new Recorder();
  const options = { encoder: 0, clipSkip: 2 } as const;
  const { states: skipped } = await encodeRows(expert, [[chunk(5)]], options);
  assert.deepEqual(expert.calls[0]!.options, options);
  assert.ok(!bitEqual(skipped.data, (await encodeRows(expert, [[chunk(5)]])).states.data));
});

for (
  const [name, rows] of [
    ["more chunks than another", [[chunk(5)], [chunk(5), chunk(6)]]],
    ["no chunk", [[], []]],
  ] as const
) {
  Deno.test(`encodeRows() refuses a row of ${name}`, async () => {
    await assert.rejects(encodeRows(new AffineExpert(), rows), {
      name: "ShapeError",
      message: /^Prompts of one batch must have equally many chunks: current counts are \[\d,\d\]$/,
    });
  });
}
