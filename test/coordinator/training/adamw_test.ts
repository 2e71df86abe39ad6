import assert from "node:assert/strict";
import {
  adamw,
  ADAMW_DEFAULTS,
  type AdamwUpdate,
  zeroMoments,
} from "../../../coordinator/training/adamw.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const near = (actual: number, expected: number, tolerance: number) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

Deno.test("adamw() moves by the learning rate against the gradient's sign at first, whatever its size", () => {
  const parameter = f32([4], [1, 1, -2, 0.5]);
  const gradient = f32([4], [1e-3, -100, 5, 0]);
  const { parameter: next, first, second } = adamw(parameter, gradient, zeroMoments(parameter), 1);
  // Bias correction undoes both means: the step is g / (|g| + 1e-8). The decay takes 1e-6 of the value.
  const expected = [1 - 1e-6 - 1e-4, 1 - 1e-6 + 1e-4, -2 + 2e-6 - 1e-4, 0.5 - 5e-7];
  expected.forEach((value, i) => near(next.data[i]!, value, 1.3e-7));
  first.data.forEach((m, i) => near(m, 0.1 * gradient.data[i]!, 1e-6));
  second.data.forEach((v, i) => near(v, 1e-3 * gradient.data[i]! ** 2, 1e-6));
});

Deno.test("adamw() keeps decay out of the moments: without a gradient the value shrinks geometrically", () => {
  const options = { ...ADAMW_DEFAULTS, learningRate: 0.1, weightDecay: 0.5 };
  let state: AdamwUpdate = { parameter: f32([1], [8]), ...zeroMoments(f32([1])) };
  for (let update = 1; update <= 3; update++) {
    state = adamw(state.parameter, f32([1]), state, update, options);
  }
  near(state.parameter.data[0]!, 8 * 0.95 ** 3, 1e-6);
  assert.deepEqual([state.first.data[0], state.second.data[0]], [0, 0]);
});

Deno.test("adamw() after two updates equals the moments' formulas", () => {
  const options = { ...ADAMW_DEFAULTS, learningRate: 0.01, weightDecay: 0 };
  const start = f32([1], [0]);
  const one = adamw(start, f32([1], [2]), zeroMoments(start), 1, options);
  const two = adamw(one.parameter, f32([1], [-1]), one, 2, options);
  const m = (0.9 * 0.1 * 2 - 0.1) / (1 - 0.9 ** 2);
  const v = (0.999 * 0.001 * 4 + 0.001) / (1 - 0.999 ** 2);
  near(one.parameter.data[0]!, -0.01, 1e-9);
  near(two.parameter.data[0]!, -0.01 - 0.01 * m / Math.sqrt(v), 1e-9);
  assert.deepEqual([...start.data], [0], "the parameter before is left as it was");
});

Deno.test("adamw() refuses a gradient of another shape", () => {
  const parameter = f32([2]);
  assert.throws(() => adamw(parameter, f32([3]), zeroMoments(parameter), 1), {
    name: "ShapeError",
    message: /parameter's shape \[2\]: current shape is \[3\]/,
  });
});
