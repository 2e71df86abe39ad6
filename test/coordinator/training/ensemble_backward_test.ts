import assert from "node:assert/strict";
import {
  type EnsembleGradients,
  Gradients,
} from "../../../coordinator/training/ensemble_backward.ts";
import type { BlockExpert } from "../../../shared/engine/block_expert.ts";
import { blockIndex } from "../../../shared/models/blocks.ts";
import { bitEqual, difference } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { Golden } from "../../support/goldens.ts";
import { serveExpert } from "../../support/serve_expert.ts";
import { openTrainingPass, type TrainingPass } from "./training_pass.ts";

const inner = (a: F32Tensor, b: F32Tensor) =>
  a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);

const norm = (tensor: F32Tensor) => Math.sqrt(inner(tensor, tensor));

/** By the manifest: relative, but no parameter is asked for more than this share of the whole gradient. */
const GRADIENT_TOLERANCE = 1e-3;
const GRADIENT_FLOOR = 1e-4;

/** The gradients of the latents and of every SABW weight against torch's. */
async function assertAgreesWithTorch(pass: TrainingPass): Promise<EnsembleGradients> {
  const gradients = await pass.gradients();
  const { gradLatents, gradParameters } = gradients;
  const afa = await Golden.read("sd15", "expected", "afa.safetensors");
  assert.ok(
    difference(gradLatents.data, afa.f32("grad.x").data).relativeL2 < GRADIENT_TOLERANCE / 10,
  );
  const expected = await Golden.read("sd15", "expected", "afa_grads.safetensors");
  const total = Math.hypot(...expected.names.map((name) => norm(expected.f32(name))));
  const { blocks } = pass.experts[0]!.description;
  const names = new Set(expected.names);
  for (const [block, gradients] of gradParameters) {
    const j = blockIndex(blocks, block);
    for (const [key, gradient] of gradients) {
      const name = `aggregator_${j}.${key}`;
      const wanted = expected.f32(name);
      assert.deepEqual([...gradient.shape], [...wanted.shape], name);
      const own = norm(wanted);
      const { relativeL2 } = difference(gradient.data, wanted.data);
      const error = relativeL2 * (own || 1) / Math.max(own, GRADIENT_FLOOR * total);
      assert.ok(error <= GRADIENT_TOLERANCE, `${name}: ${error}`);
      names.delete(name);
    }
  }
  assert.deepEqual([...names], []);
  return gradients;
}

Deno.test("AFA: gradients agree with torch's; through the sessions of two workers, bit for bit the same", async () => {
  await using pass = await openTrainingPass();
  const here = await assertAgreesWithTorch(pass);
  await using served = new AsyncDisposableStack();
  const remotely = async (expert: BlockExpert) => served.use(await serveExpert(expert)).remote;
  await using remote = await openTrainingPass("all", remotely);
  const there = await assertAgreesWithTorch(remote);
  assert.ok(bitEqual(there.gradLatents.data, here.gradLatents.data));
  for (const [block, gradients] of here.gradParameters) {
    for (const [key, { data }] of gradients) {
      assert.ok(bitEqual(there.gradParameters.get(block)!.get(key)!.data, data), `${block} ${key}`);
    }
  }
});

/**
 * The gradient of the loss against four runs of the forward pass, along the gradient itself: along a random direction the
 * loss hardly changes, and its rounding would hide what is wrong.
 */
async function assertGradientOfLatents(pass: TrainingPass, gradLatents: F32Tensor): Promise<void> {
  const { x } = pass;
  const largest = Math.max(...gradLatents.data.map(Math.abs));
  const direction = f32(x.shape, gradLatents.data.map((value) => value / largest));
  const at = (step: number) =>
    pass.loss(f32(x.shape, x.data.map((value, i) => value + step * direction.data[i]!)));
  // The quotient is off by the fourth power of the step, and by the rounding of the loss (1e-7) divided by it.
  const step = 0.05;
  const far = await at(2 * step) - await at(-2 * step);
  const near = await at(step) - await at(-step);
  const expected = (8 * near - far) / (12 * step);
  const actual = inner(gradLatents, direction);
  const error = Math.abs(actual / expected - 1);
  assert.ok(error < 1e-3, `${actual} is not ${expected}`);
}

Deno.test("AFA on the last block only: experts run as wholes, their skips stay their own", async () => {
  await using pass = await openTrainingPass("noise");
  const { gradLatents, gradParameters } = await pass.gradients();
  assert.deepEqual([...gradParameters.keys()], ["OUT11"]);
  await assertGradientOfLatents(pass, gradLatents);
});

Deno.test("AFA on some blocks: skips that were aggregated meet, others stay with their expert", async () => {
  // IN02 and IN08 are shared skips; IN03 to IN07 cross two aggregations as each expert's own.
  await using pass = await openTrainingPass(["IN02", "IN08", "M00", "OUT04"]);
  const { gradLatents, gradParameters } = await pass.gradients();
  assert.deepEqual([...gradParameters.keys()], ["OUT11", "OUT04", "M00", "IN08", "IN02"]);
  await assertGradientOfLatents(pass, gradLatents);
});

Deno.test("an expert that fails on the way back ends the pass with its error", async () => {
  await using pass = await openTrainingPass("noise");
  const broken = pass.experts[1]!;
  const backwardBlock = broken.backwardBlock.bind(broken);
  broken.backwardBlock = (request, signal) => {
    const { shape, data } = request.gradOutput;
    const isBad = request.block === "OUT09";
    const gradOutput = isBad ? f32(shape, data.map(() => NaN)) : request.gradOutput;
    return backwardBlock({ ...request, gradOutput }, signal);
  };
  await assert.rejects(pass.gradients(), {
    code: "DATA_LOSS",
    message: /^grad_hidden_states of expert-b OUT09 must be finite/,
    details: { block: "OUT09", model: "expert-b" },
  });
});

Deno.test("Gradients adds what waits for a block, gives it once, and leaves other blocks waiting", () => {
  const waiting = new Gradients();
  const of = (value: number) => f32([1], [value]);
  for (const [block, value] of [["IN01", 1], ["IN02", 2], ["IN01", 4]] as const) {
    waiting.add(block, of(value));
  }
  assert.deepEqual(waiting.takeWith("IN01", of(8)).data, Float32Array.of(13));
  assert.deepEqual(waiting.takeWith("IN01", of(8)).data, Float32Array.of(8));
  assert.deepEqual(waiting.takeWith("IN02", of(8)).data, Float32Array.of(10));
});
