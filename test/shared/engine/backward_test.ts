import assert from "node:assert/strict";
import type { StatelessForward } from "../../../shared/engine/block_expert.ts";
import type { LocalExpert } from "../../../shared/engine/local_expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";

/** Of OUT02: up-samples to an odd height. */
const REQUEST = {
  block: "OUT02",
  hiddenStates: randomTensor([2, 32, 4, 3], 1),
  temb: randomTensor([2, 64], 2),
  encoderHiddenStates: randomTensor([2, 16, 24], 3),
  residual: randomTensor([2, 32, 4, 3], 4),
  targetSize: [7, 6],
} as const satisfies StatelessForward;
const GRAD_OUTPUT = randomTensor([2, 32, 7, 6], 5);

async function withExpert(use: (expert: LocalExpert) => Promise<void>): Promise<void> {
  const expert = await openGoldenExpert();
  try {
    await use(expert);
  } finally {
    await expert.close();
  }
}

const inner = (a: F32Tensor, b: F32Tensor) =>
  a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);

Deno.test("backwardBlock() is the derivative of forwardBlock(), by the input and by the skip", async () => {
  await withExpert(async (expert) => {
    const gradients = await expert.backwardBlock({ ...REQUEST, gradOutput: GRAD_OUTPUT });
    for (
      const [name, gradient] of [
        ["hiddenStates", gradients.gradHiddenStates],
        ["residual", gradients.gradResidual!],
      ] as const
    ) {
      const direction = randomTensor(REQUEST[name].shape, 6);
      const at = async (t: number) => {
        const data = REQUEST[name].data.map((value, i) => value + t * direction.data[i]!);
        const moved = { ...REQUEST, [name]: f32(REQUEST[name].shape, data) };
        return inner((await expert.forwardBlock(moved)).hiddenStates, GRAD_OUTPUT);
      };
      const near = await at(0.01) - await at(-0.01);
      const far = await at(0.02) - await at(-0.02);
      const expected = (8 * near - far) / 0.12;
      const actual = inner(gradient, direction);
      assert.ok(
        Math.abs(actual / expected - 1) < 1e-2,
        `${name}: ${actual} is not ${expected}`,
      );
    }
  });
});

Deno.test("backwardBlock() gives the same bits twice, and no residual's gradient where there is none", async () => {
  await withExpert(async (expert) => {
    const { residual: _, targetSize: __, ...request } = { ...REQUEST, block: "IN10" };
    const gradOutput = randomTensor([2, 32, 4, 3], 7);
    const [one, two] = [
      await expert.backwardBlock({ ...request, gradOutput }),
      await expert.backwardBlock({ ...request, gradOutput }),
    ];
    assert.ok(bitEqual(one!.gradHiddenStates.data, two!.gradHiddenStates.data));
    assert.ok(!("gradResidual" in one!));
    assert.ok(one!.computeMs > 0 && one!.queueMs >= 0);
  });
});

Deno.test("backwardBlock() refuses what does not fit, naming it", async () => {
  await withExpert(async (expert) => {
    const request = { ...REQUEST, gradOutput: GRAD_OUTPUT };
    const { residual: _, ...without } = request;
    await assert.rejects(expert.backwardBlock(without), /residual must be given for OUT02/);
    await assert.rejects(expert.backwardBlock({ ...request, targetSize: [8, 6] }), {
      name: "ShapeError",
      message: "grad_output must be float32 [2, 32, 8, 6]: current value is float32 [2, 32, 7, 6]",
    });
    await assert.rejects(expert.backwardBlock({ ...request, block: "OUT12" }), {
      code: "NOT_FOUND",
      message: 'block must be one of IN00..OUT11: current value is "OUT12"',
    });
    const poisoned = f32(GRAD_OUTPUT.shape, GRAD_OUTPUT.data.map(() => Infinity));
    await assert.rejects(expert.backwardBlock({ ...request, gradOutput: poisoned }), {
      code: "DATA_LOSS",
      message: /^grad_hidden_states of expert-a OUT02 must be finite/,
    });
  });
});
