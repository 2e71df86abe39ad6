import assert from "node:assert/strict";
import {
  betaQuantile,
  regularizedBeta,
} from "../../../../coordinator/sampling/samplers/beta_quantile.ts";

const near = (actual: number, expected: number, tolerance = 1e-12) =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.abs(expected),
    `${actual} should be ${expected}`,
  );

Deno.test("betaQuantile() has the closed forms of uniform, power and arcsine distributions", () => {
  for (const p of [1e-6, 0.1, 0.25, 0.5, 0.9, 0.999]) {
    near(betaQuantile(p, 1, 1), p);
    near(betaQuantile(p, 3, 1), p ** (1 / 3));
    near(betaQuantile(p, 1, 2), 1 - Math.sqrt(1 - p), 1e-10);
    near(betaQuantile(p, 0.5, 0.5), Math.sin(Math.PI * p / 2) ** 2, 1e-10);
  }
});

Deno.test("betaQuantile() gives scipy.stats.beta.ppf for the shapes that schedules take", () => {
  const expected = [
    [1e-6, 1.8558824624053043e-10],
    [0.1, 0.03958440558878085],
    [0.25, 0.17568037865269498],
    [0.5, 0.5],
    [0.75, 0.824319621347305],
    [0.9, 0.9604155944112192],
    [0.999, 0.9999814412614826],
  ] as const;
  for (const [p, x] of expected) near(betaQuantile(p, 0.6, 0.6), x, 1e-11);
  near(betaQuantile(0.3, 2, 5), 0.18180347131894917, 1e-11);
  assert.deepEqual([betaQuantile(0, 0.6, 0.6), betaQuantile(1, 0.6, 0.6)], [0, 1]);
});

Deno.test("regularizedBeta() gives scipy.stats.beta.cdf on both sides of the mean", () => {
  near(regularizedBeta(0.3, 2, 5), 0.579825);
  near(regularizedBeta(0.01, 0.6, 0.6), 0.04360371488475065);
  near(regularizedBeta(0.99, 0.6, 0.6), 0.9563962851152494);
  assert.deepEqual([regularizedBeta(0, 2, 5), regularizedBeta(1, 2, 5)], [0, 1]);
});
