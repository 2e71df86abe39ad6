import assert from "node:assert/strict";
import { emptyPrompt, randomInputs } from "../../../coordinator/bench/random_inputs.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const { description } = new AffineExpert();
const SIZE = { width: 80, height: 64, batch: 2 };

Deno.test("randomInputs() fit the expert and the image's size", () => {
  const { session, latents } = randomInputs(description, SIZE);
  assert.deepEqual([session.batch, session.height, session.width], [2, 8, 10]);
  assert.deepEqual(latents.shape, [2, description.latentChannels, 8, 10]);
  assert.deepEqual(session.encoderHiddenStates.shape, [
    2,
    description.texts[0]!.maxLength,
    description.crossAttentionDim,
  ]);
  assert.equal(session.addedCond, undefined);
});

Deno.test("randomInputs() have the added conditioning of SDXL, and 77 tokens without an encoder", () => {
  const { session } = randomInputs({ ...description, pooledPromptDim: 5, texts: [] }, SIZE);
  assert.deepEqual(session.addedCond?.pooledPromptEmbeds.shape, [2, 5]);
  assert.deepEqual([...session.addedCond!.timeIds.data], [
    64,
    80,
    0,
    0,
    64,
    80,
    64,
    80,
    0,
    0,
    64,
    80,
  ]);
  assert.equal(session.encoderHiddenStates.shape[1], 77);
});

Deno.test("randomInputs() refuses a size that the VAE cannot make", () => {
  assert.throws(() => randomInputs(description, { ...SIZE, width: 100 }), {
    name: "UsageError",
    message: "--size must be multiples of 8 pixels: current value is 100x64",
  });
  assert.throws(() => randomInputs(description, { ...SIZE, height: 0 }), { name: "UsageError" });
});

Deno.test("emptyPrompt() is begin, end and padding", () => {
  const { shape, data } = emptyPrompt({ ...description.texts[0]!, padTokenId: 3 }, 2);
  assert.deepEqual(shape, [2, 7]);
  const row = [98n, 99n, 3n, 3n, 3n, 3n, 3n];
  assert.deepEqual([...data], [...row, ...row]);
});
