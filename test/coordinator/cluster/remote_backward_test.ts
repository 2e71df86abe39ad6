import assert from "node:assert/strict";
import type { BackwardResult } from "../../../shared/engine/block_expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";

/** Of an affine expert's OUT02, which up-samples to an odd height. */
const REQUEST = {
  block: "OUT02",
  hiddenStates: randomTensor([2, 8, 4, 3], 1),
  temb: randomTensor([2, 16], 2),
  encoderHiddenStates: randomTensor([2, 7, 6], 3),
  residual: randomTensor([2, 8, 4, 3], 4),
  targetSize: [7, 6] as const,
  gradOutput: randomTensor([2, 8, 7, 6], 5),
};

function assertSameGradients(actual: BackwardResult, expected: BackwardResult): void {
  for (const name of ["gradHiddenStates", "gradResidual"] as const) {
    assert.deepEqual(actual[name]?.shape, expected[name]?.shape, name);
    const [a, b] = [actual[name]?.data ?? f32([0]).data, expected[name]?.data ?? f32([0]).data];
    assert.ok(bitEqual(a, b), name);
  }
}

Deno.test("gradients of a block through a worker have the bits of this process", async () => {
  const expert = await openGoldenExpert();
  try {
    await using served = await serveExpert(expert);
    const block = {
      block: "IN10",
      hiddenStates: randomTensor([2, 32, 4, 3], 1),
      temb: randomTensor([2, 64], 2),
      encoderHiddenStates: randomTensor([2, 16, 24], 3),
      gradOutput: randomTensor([2, 32, 4, 3], 4),
    };
    const outBlock = {
      ...block,
      block: "OUT02",
      residual: randomTensor([2, 32, 4, 3], 5),
      targetSize: [7, 6] as const,
      gradOutput: randomTensor([2, 32, 7, 6], 6),
    };
    for (const request of [block, outBlock]) {
      const remote = await served.blocks.backwardBlock(request);
      const local = await expert.backwardBlock(request);
      assertSameGradients(remote, local);
      assert.equal(remote.gradResidual !== undefined, request.block === "OUT02");
      assert.ok(remote.computeMs > 0 && remote.queueMs >= 0);
    }
  } finally {
    await expert.close();
  }
});

Deno.test("what BackwardBlock cannot take gets one clear error, and the next good call is served", async () => {
  const expert = new AffineExpert();
  await using served = await serveExpert(expert, { limits: { maxBatch: 2 } });
  const { blocks } = served;
  const { residual: _, ...without } = REQUEST;
  const three = randomTensor([3, 8, 4, 3], 1);
  const bad = [
    [{ ...REQUEST, block: "OUT12" }, "NOT_FOUND", /Block must be one of "IN00" to "OUT11"/],
    [without, "INVALID_ARGUMENT", /residual must be given for OUT02/],
    [
      { ...REQUEST, gradOutput: randomTensor([2, 8, 8, 6], 5) },
      "INVALID_ARGUMENT",
      /grad_output must be float32 \[2, 8, 7, 6\]: current value is float32 \[2, 8, 8, 6\]/,
    ],
    [
      { ...REQUEST, hiddenStates: three },
      "INVALID_ARGUMENT",
      /batch must be at most 2 on this worker: current value is 3/,
    ],
    [
      { ...REQUEST, targetSize: [700, 6] as const },
      "INVALID_ARGUMENT",
      /target_height must be at most 64 on this worker/,
    ],
    [
      { ...REQUEST, gradOutput: f32([2, 8, 7, 6], new Array(2 * 8 * 7 * 6).fill(NaN)) },
      "DATA_LOSS",
      /grad_hidden_states of affine OUT02 must be finite/,
    ],
  ] as const;
  for (const [request, code, message] of bad) {
    await assert.rejects(blocks.backwardBlock(request), { code, message });
    assertSameGradients(await blocks.backwardBlock(REQUEST), await expert.backwardBlock(REQUEST));
  }
});

Deno.test("a cancelled call of gradients leaves the worker free", async () => {
  const expert = new AffineExpert();
  const reached = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const backwardBlock = expert.backwardBlock.bind(expert);
  expert.backwardBlock = async (request) => {
    reached.resolve();
    await held.promise;
    return await backwardBlock(request);
  };
  await using served = await serveExpert(expert);
  const stop = new AbortController();
  const call = served.blocks.backwardBlock(REQUEST, stop.signal);
  await reached.promise;
  stop.abort();
  await assert.rejects(call, { code: "CANCELLED" });
  held.resolve();
  await eventually(() => expert.differentiated.length === 1);
  await served.blocks.backwardBlock(REQUEST);
});
