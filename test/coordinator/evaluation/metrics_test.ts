import assert from "node:assert/strict";
import { cmmd } from "../../../coordinator/evaluation/metrics/cmmd.ts";
import { fid, frechetDistance } from "../../../coordinator/evaluation/metrics/frechet_distance.ts";
import { gaussianFrom } from "../../../coordinator/evaluation/metrics/gaussian.ts";
import { inceptionScore } from "../../../coordinator/evaluation/metrics/inception_score.ts";
import { kid } from "../../../coordinator/evaluation/metrics/kernel_distance.ts";
import { mind } from "../../../coordinator/evaluation/metrics/mind.ts";
import { pairedDifference } from "../../../coordinator/evaluation/metrics/paired_difference.ts";
import { precisionRecall } from "../../../coordinator/evaluation/metrics/precision_recall.ts";
import { NumpyRandom } from "../../../coordinator/evaluation/numpy_random.ts";
import { symmetricEigenvalues } from "../../../coordinator/evaluation/symmetric_eigenvalues.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../../shared/tensor/torch_randn.ts";

const near = (actual: number, expected: number, tolerance = 1e-9) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

const normal = (seed: number, n: number, d: number): F32Tensor =>
  new TorchCpuGenerator(seed).randn([n, d]);

function moved(set: F32Tensor, by: number): F32Tensor {
  return { ...set, data: set.data.map((value) => value + by) };
}

Deno.test("symmetricEigenvalues() finds those of matrices that are known", () => {
  const sorted = (matrix: readonly number[], n: number) =>
    [...symmetricEigenvalues(Float64Array.from(matrix), n)].sort((a, b) => a - b);
  assert.deepEqual(sorted([7], 1), [7]);
  assert.deepEqual(sorted([0, 0, 0, 0], 2), [0, 0]);
  sorted([2, 1, 1, 2], 2).forEach((value, i) => near(value, [1, 3][i]!));
  // Second differences: 2 - 2 cos(pi k / (n + 1)).
  const n = 50;
  const chain = Array.from({ length: n * n }, (_, at) => {
    const distance = Math.abs(Math.floor(at / n) - at % n);
    return distance === 0 ? 2 : distance === 1 ? -1 : 0;
  });
  sorted(chain, n).forEach((value, i) =>
    near(value, 2 - 2 * Math.cos(Math.PI * (i + 1) / (n + 1)))
  );
  // All ones: n once, 0 else.
  sorted(new Array(n * n).fill(1), n).forEach((value, i) => near(value, i === n - 1 ? n : 0));
  assert.throws(() => sorted([1, NaN, NaN, 1], 2), { code: "DATA_LOSS" });
});

Deno.test("FID of Gaussians whose covariances commute is that of their standard deviations", () => {
  const diagonal = (values: readonly number[]) =>
    Float64Array.from({ length: values.length ** 2 }, (_, at) => {
      const [i, j] = [Math.floor(at / values.length), at % values.length];
      return i === j ? values[i]! : 0;
    });
  const a = gaussianFrom(Float64Array.of(0, 0, 0), diagonal([4, 9, 0]));
  const b = gaussianFrom(Float64Array.of(1, 0, 2), diagonal([1, 25, 16]));
  near(frechetDistance(a, b), 5 + 1 + 4 + 16, 1e-12);
  near(frechetDistance(b, a), frechetDistance(a, b), 1e-12);
  assert.equal(frechetDistance(a, a), 0);
});

Deno.test("FID, KID, MIND and CMMD of a set against itself are 0, and grow with a shift", () => {
  const set = normal(1, 60, 8);
  near(fid(set, set), 0, 1e-9);
  near(fid(set, moved(set, 0.5)), 8 * 0.25, 1e-5);
  assert.equal(mind(set, set), 0);
  // Every rank is as far apart as the shift's projection: 3 d times the mean square of that.
  near(mind(set, moved(set, 0.5)), 3 * 8 * 0.25, 0.2 * 3 * 8 * 0.25);
  near(cmmd(set, set), 0);
  const far = cmmd(set, moved(set, 2));
  assert.ok(far > cmmd(set, moved(set, 1)), `${far}`);
  const shifted = kid(set, moved(set, 1));
  assert.ok(shifted.mean > kid(set, normal(2, 60, 8)).mean);
  assert.equal(shifted.perSubset.length, 100);
  assert.throws(() => fid(set, normal(1, 60, 9)), /features of one width: they have 8 and 9/);
  assert.throws(() => mind(set, normal(1, 59, 8)), /two sets of one size/);
  assert.throws(() => fid(set, normal(1, 1, 8)), /features of two images or more/);
});

Deno.test("NumpyRandom.permutation() is numpy's RandomState(seed).permutation(n)", () => {
  assert.deepEqual(new NumpyRandom(0).permutation(10), [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
  assert.deepEqual(new NumpyRandom(42).permutation(5), [1, 4, 2, 0, 3]);
});

Deno.test("inceptionScore() counts the classes that images are sure of", () => {
  const classes = 5;
  const sure = f32(
    [50, classes],
    Array.from({ length: 250 }, (_, i) => {
      const [row, k] = [Math.floor(i / classes), i % classes];
      return row % classes === k ? 50 : 0;
    }),
  );
  const { mean, perSplit } = inceptionScore(sure);
  assert.equal(perSplit.length, 10);
  assert.ok(mean > 2 && mean <= classes, `${mean}`);
  assert.throws(() => inceptionScore(f32([9, classes])), /as many images: current count is 9/);
});

Deno.test("precisionRecall() is whole for one set twice, and nothing for sets far apart", () => {
  const set = normal(3, 20, 4);
  assert.deepEqual(precisionRecall(set, set, 3), { precision: 1, recall: 1 });
  assert.deepEqual(precisionRecall(set, moved(set, 100), 3), { precision: 0, recall: 0 });
});

Deno.test("95 % intervals of pairedDifference() hold the truth about 95 times in 100", () => {
  const [trials, pairs, truth] = [400, 40, 0.3];
  const noise = new TorchCpuGenerator(5).randn([trials, pairs]).data;
  let covered = 0;
  for (let trial = 0; trial < trials; trial++) {
    const b = Array.from(noise.subarray(trial * pairs, (trial + 1) * pairs), (x) => truth + x);
    const { low, high } = pairedDifference(new Array(pairs).fill(0), b);
    if (low <= truth && truth <= high) covered++;
  }
  assert.ok(covered / trials > 0.9 && covered / trials < 0.98, `${covered} of ${trials}`);
  const many = pairedDifference(new Array(3000).fill(0), new Array(3000).fill(1));
  assert.deepEqual([many.winsOfB, many.signTestP, many.low], [3000, 0, 1]);
  assert.throws(() => pairedDifference([1], [1]), /two scores or more/);
});
