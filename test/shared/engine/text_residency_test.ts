import assert from "node:assert/strict";
import { type LocalExpert, openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { eventually } from "../../support/serve_expert.ts";

const IDS = i64([1, 16], [298, 5, 6, ...new Array(13).fill(299)]);

/** Long enough that no test sees it pass. */
const NEVER_SECONDS = 3600;

function openExpert(textIdleSeconds: number, lanes = 1): Promise<LocalExpert> {
  const model = goldenExpert("a");
  return openLocalExpert({ model, device: "cpu", lanes, threads: 1, textIdleSeconds });
}

function firstBlock(expert: LocalExpert) {
  const { blocks, latentChannels, timeEmbedDim, crossAttentionDim } = expert.description;
  return expert.forwardBlock({
    block: blocks[0]!.id,
    hiddenStates: f32([1, latentChannels, 8, 8]),
    temb: f32([1, timeEmbedDim]),
    encoderHiddenStates: f32([1, 16, crossAttentionDim]),
  });
}

const textGraphs = ({ loadedGraphs }: LocalExpert) =>
  [...loadedGraphs].filter((name) => name.startsWith("text"));

async function states(expert: LocalExpert, clipSkip = 1): Promise<Float32Array> {
  return (await expert.encodeText(IDS, { clipSkip })).lastHiddenState.data;
}

Deno.test("the text encoder leaves when a block is loaded, and comes back with the same bits", async () => {
  const expert = await openExpert(NEVER_SECONDS, 2);
  try {
    const before = await states(expert);
    const skipped = await states(expert, 2);
    assert.deepEqual(textGraphs(expert), ["text_encoder", "text_encoder_final_layer_norm"]);
    await firstBlock(expert);
    assert.deepEqual(textGraphs(expert), []);
    assert.ok(bitEqual(await states(expert), before));
    assert.ok(bitEqual(await states(expert, 2), skipped));
    // The block is there already: nothing has to make room.
    await firstBlock(expert);
    assert.equal(textGraphs(expert).length, 2);
  } finally {
    await expert.close();
  }
});

Deno.test("the text encoder leaves when no prompt has come for a while; the blocks stay", async () => {
  const expert = await openExpert(0);
  try {
    await firstBlock(expert);
    const before = await states(expert);
    await eventually(() => textGraphs(expert).length === 0);
    assert.deepEqual([...expert.loadedGraphs], [expert.description.blocks[0]!.id]);
    assert.ok(bitEqual(await states(expert), before));
  } finally {
    await expert.close();
  }
});

Deno.test("prompts, blocks and releases at the same time give the bits they give alone", async () => {
  const expert = await openExpert(0, 2);
  try {
    const text = await states(expert);
    const block = (await firstBlock(expert)).hiddenStates.data;
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    await Promise.all(Array.from({ length: 24 }, async (_, i) => {
      await wait(2 * i);
      if (i % 4 === 0) await expert.releaseGraphs();
      else if (i % 4 === 1) {
        assert.ok(bitEqual((await firstBlock(expert)).hiddenStates.data, block));
      } else assert.ok(bitEqual(await states(expert), text));
    }));
  } finally {
    await expert.close();
  }
});

Deno.test("a call right after releaseGraphs() loads anew, one right before it is still answered", async () => {
  const expert = await openExpert(NEVER_SECONDS);
  try {
    const first = states(expert);
    const released = expert.releaseGraphs();
    const second = states(expert);
    const [a, , b] = await Promise.all([first, released, second]);
    assert.ok(bitEqual(a, b));
    assert.deepEqual(textGraphs(expert), ["text_encoder"]);
  } finally {
    await expert.close();
  }
});
