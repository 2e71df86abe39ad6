import assert from "node:assert/strict";
import { RemoteExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { transportTo } from "../../../coordinator/cluster/tensor_transport.ts";
import { WorkerClient } from "../../../coordinator/cluster/worker_client.ts";
import type { BlockExpert } from "../../../shared/engine/block_expert.ts";
import type { CommonSessionConfig, Expert } from "../../../shared/engine/expert.ts";
import { blockOutputShape } from "../../../shared/models/blocks.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { concatRows, type F32Tensor, i64, sliceRows } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, promptIds, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { type ServedExpert, serveExpert } from "../../support/serve_expert.ts";
import { keepResults } from "../../support/keep_results.ts";

/** A stand-in whose numbers are easy to follow, and a real U-Net with its text encoder on a lane. */
const EXPERTS: Readonly<Record<string, () => Promise<BlockExpert>>> = {
  "an affine expert": () => Promise.resolve(new AffineExpert()),
  "a golden U-Net": () => openGoldenExpert("a"),
};

/** Odd, so that blocks which enlarge go to a target size that is not twice the input's. */
const SIZE = 9;

function assertSameBits(actual: F32Tensor, expected: F32Tensor, name = "") {
  assert.deepEqual(actual.shape, expected.shape, name);
  assert.ok(bitEqual(actual.data, expected.data), name);
}

/** Outputs of all blocks in two steps of a session, the second in ranges of four blocks. */
async function walkSession(
  expert: Expert,
  config: CommonSessionConfig,
): Promise<Map<string, F32Tensor>> {
  const ids = expert.description.blocks.map((block) => block.id);
  const outputs = new Map<string, F32Tensor>();
  const session = keepResults(await expert.openSession(config));
  try {
    for (const [stepIndex, stride] of [[0, 1], [2, 4]] as const) {
      let hiddenStates = latentsFor(expert.description, config, stepIndex + 1);
      for (let i = 0; i < ids.length; i += stride) {
        const [first, last] = [ids[i]!, ids[Math.min(i + stride, ids.length) - 1]!];
        ({ hiddenStates } = await session.forward({ stepIndex, first, last, hiddenStates }));
        outputs.set(`${last} of step ${stepIndex}`, hiddenStates);
      }
    }
  } finally {
    await session.close();
  }
  return outputs;
}

/** Outputs of all blocks in the first step, each by a call of its own. */
async function walkStateless(
  { remote, blocks }: ServedExpert,
  config: CommonSessionConfig,
): Promise<Map<string, F32Tensor>> {
  const { batch, height, width, encoderHiddenStates } = config;
  const row = sliceRows(await remote.embedTimesteps(config.timesteps), 0, 1);
  const temb = concatRows(new Array(batch).fill(row));
  const outputs = new Map<string, F32Tensor>();
  const kept = new Map<string, F32Tensor>();
  let hiddenStates = latentsFor(remote.description, config);
  for (const block of remote.description.blocks) {
    const residual = block.skipFrom === undefined ? undefined : kept.get(block.skipFrom)!;
    const [, h, w] = blockOutputShape(block, height, width);
    ({ hiddenStates } = await blocks.forwardBlock({
      block: block.id,
      hiddenStates,
      temb,
      encoderHiddenStates,
      ...(residual && { residual }),
      ...(block.upsamples && { targetSize: [h, w] as const }),
    }));
    kept.set(block.id, hiddenStates);
    outputs.set(`${block.id} of step 0`, hiddenStates);
  }
  return outputs;
}

function assertSameOutputs(actual: Map<string, F32Tensor>, expected: Map<string, F32Tensor>) {
  assert.ok(actual.size >= 25);
  for (const [name, output] of actual) {
    const wanted = expected.get(name);
    assert.ok(wanted, name);
    assertSameBits(output, wanted, name);
  }
}

for (const [name, open] of Object.entries(EXPERTS)) {
  Deno.test(`RemoteExpert has the description of ${name}`, async () => {
    const expert = await open();
    await using served = await serveExpert(expert, { configJson: '{"in_channels":4}' });
    const { description, configJson, limits, versions } = served.remote;
    assert.deepEqual(description, expert.description);
    assert.equal(configJson, '{"in_channels":4}');
    assert.equal(limits.maxBatch, 32);
    assert.equal(versions.deno, Deno.version.deno);
    assert.equal(versions.runtime, expert.description.fingerprint.runtime);
    await expert.close();
  });

  Deno.test(`RemoteExpert gives the bits of ${name}: text and time embeddings`, async () => {
    const expert = await open();
    await using served = await serveExpert(expert);
    const inputIds = promptIds(expert.description);
    const states = [];
    for (const options of [undefined, { clipSkip: 2 }]) {
      const remote = await served.remote.encodeText(inputIds, options);
      const local = await expert.encodeText(inputIds, options);
      assertSameBits(remote.lastHiddenState, local.lastHiddenState);
      assertSameBits(remote.penultimateHiddenState, local.penultimateHiddenState);
      assertSameBits(remote.pooled, local.pooled);
      states.push(remote.lastHiddenState.data);
    }
    assert.ok(!bitEqual(states[0]!, states[1]!), "clipSkip must not be lost");
    const timesteps = [981, 0.125, 1 / 3];
    assertSameBits(
      await served.remote.embedTimesteps(timesteps),
      await expert.embedTimesteps(timesteps),
    );
    await expert.close();
  });

  Deno.test(`RemoteExpert gives the bits of ${name}: sessions and single blocks, which agree`, async () => {
    const expert = await open();
    await using served = await serveExpert(expert);
    const config = await sessionConfig(expert, SIZE);
    const local = await walkSession(expert, config);
    assertSameOutputs(await walkSession(served.remote, config), local);
    assertSameOutputs(await walkStateless(served, config), local);
    await expert.close();
  });
}

Deno.test("RemoteExpert asks the second text encoder, which may be of another size", async () => {
  const { description: { texts: [text] } } = new AffineExpert();
  const expert = new AffineExpert({
    description: { texts: [text!, { ...text!, vocabSize: 50, maxLength: 9 }] },
  });
  await using served = await serveExpert(expert);
  const ids = i64([1, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const remote = await served.remote.encodeText(ids, { encoder: 1 });
  const local = await expert.encodeText(ids, { encoder: 1 });
  assertSameBits(remote.lastHiddenState, local.lastHiddenState);
  await assert.rejects(served.remote.encodeText(ids), {
    message: /input_ids must be int64 \[B, 7\]/,
  });
});

Deno.test("encoder 1 of an expert that has one: the client refuses, and the worker does", async () => {
  await using served = await serveExpert(new AffineExpert());
  const ids = promptIds(served.remote.description);
  const refusal = {
    code: "FAILED_PRECONDITION",
    message: /Expert "affine" must have a text encoder of index 1: it has 1/,
  };
  await assert.rejects(served.remote.encodeText(ids, { encoder: 1 }), refusal);
  // A client that does not know the worker's own description.
  const blind = new RemoteExpert(new WorkerClient(served.worker.address), {
    ...served.remote,
    expert: {
      ...served.remote.description,
      texts: new Array(2).fill(served.remote.description.texts[0]),
    },
  }, transportTo(served.worker.address));
  await assert.rejects(blind.encodeText(ids, { encoder: 1 }), refusal);
  await blind.close();
});
