import assert from "node:assert/strict";
import type { Expert } from "../../../shared/engine/expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, promptIds, sessionConfig } from "../../support/expert_inputs.ts";
import { serveExpert } from "../../support/serve_expert.ts";

function assertSameBits(actual: F32Tensor, expected: F32Tensor) {
  assert.deepEqual(actual.shape, expected.shape);
  assert.ok(bitEqual(actual.data, expected.data));
}

/** All blocks of two steps, in ranges that differ from step to step. */
async function walk(expert: Expert): Promise<F32Tensor[]> {
  const config = await sessionConfig(expert, 9);
  const session = await expert.openSession(config);
  const ids = expert.description.blocks.map((block) => block.id);
  const outputs: F32Tensor[] = [];
  try {
    for (const [stepIndex, stride] of [[0, 1], [2, 4]] as const) {
      let hiddenStates = latentsFor(expert.description, config, stepIndex + 1);
      for (let i = 0; i < ids.length; i += stride) {
        const [first, last] = [ids[i]!, ids[Math.min(i + stride, ids.length) - 1]!];
        const result = await session.forward({ stepIndex, first, last, hiddenStates });
        hiddenStates = result.hiddenStates;
        outputs.push(hiddenStates);
      }
    }
  } finally {
    await session.close();
  }
  return outputs;
}

Deno.test("connectExpert() learns the description that the worker's expert has", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { configJson: '{"in_channels":4}' });
  assert.deepEqual(served.remote.description, expert.description);
  assert.equal(served.remote.configJson, '{"in_channels":4}');
  assert.equal(served.remote.limits.maxBatch, 32);
  assert.equal(served.remote.versions.deno, Deno.version.deno);
});

Deno.test("RemoteExpert gives the bits of the expert behind it: text and time embeddings", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const inputIds = promptIds(expert.description);
  const [remote, local] = [
    await served.remote.encodeText(inputIds),
    await expert.encodeText(inputIds),
  ];
  assertSameBits(remote.lastHiddenState, local.lastHiddenState);
  assertSameBits(remote.penultimateHiddenState, local.penultimateHiddenState);
  assertSameBits(remote.pooled, local.pooled);
  const timesteps = [981, 0.125, 1 / 3];
  assertSameBits(
    await served.remote.embedTimesteps(timesteps),
    await expert.embedTimesteps(timesteps),
  );
});

Deno.test("RemoteExpert gives the bits of the expert behind it: sessions", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const [remote, local] = [await walk(served.remote), await walk(expert)];
  assert.equal(remote.length, local.length);
  remote.forEach((output, i) => assertSameBits(output, local[i]!));
  assert.equal(expert.openSessions, 0);
});

Deno.test("RemoteExpert gives the bits of the expert behind it: single blocks", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert);
  const config = await sessionConfig(expert);
  const temb = await expert.embedTimesteps([7, 7]);
  const { encoderHiddenStates } = config;
  for (const block of expert.description.blocks) {
    const size = Math.ceil(8 / 2 ** block.inScale);
    const tensor = (channels: number, seed: number) =>
      latentsFor({ ...expert.description, latentChannels: channels }, {
        ...config,
        height: size,
        width: size,
      }, seed);
    const request = {
      block: block.id,
      hiddenStates: tensor(block.inChannels, 3),
      temb,
      encoderHiddenStates,
      ...(block.skipFrom && { residual: tensor(block.skipChannels, 4) }),
      ...(block.upsamples && { targetSize: [2 * size - 1, 2 * size] as const }),
    };
    const [remote, local] = [
      await served.remote.forwardBlock(request),
      await expert.forwardBlock(request),
    ];
    assertSameBits(remote.hiddenStates, local.hiddenStates);
    assert.deepEqual([remote.computeMs, remote.queueMs], [1.5, 0.5]);
  }
});
