import assert from "node:assert/strict";
import {
  attentionPenalty,
  PenalizedSabw,
} from "../../../coordinator/training/attention_penalty.ts";
import { AttentionUsage } from "../../../coordinator/training/attention_usage.ts";
import { train } from "../../../coordinator/training/train.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { openSmallTraining } from "./small_training.ts";

const near = (actual: number, expected: number, tolerance = 1e-6) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

Deno.test("attentionPenalty() is 0 for equal weights, and largest where one expert has all", () => {
  const weights = { balance: 1, certainty: 1 };
  const equal = f32([1, 2, 1, 3], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
  near(attentionPenalty(equal, weights).penalty, 0);
  const alone = f32([1, 2, 1, 2], [1, 1, 0, 0]);
  near(attentionPenalty(alone, { balance: 1, certainty: 0 }).penalty, 1);
  near(attentionPenalty(alone, { balance: 0, certainty: 1 }).penalty, 1);
  // Hard, but in balance.
  const parted = f32([1, 2, 1, 2], [1, 0, 0, 1]);
  near(attentionPenalty(parted, { balance: 1, certainty: 0 }).penalty, 0);
  near(attentionPenalty(parted, { balance: 0, certainty: 1 }).penalty, 1);
});

Deno.test("attentionPenalty() has the gradient that finite differences have", () => {
  const map = f32([2, 3, 1, 1], [0.2, 0.3, 0.5, 0.1, 0.15, 0.75]);
  const weights = { balance: 0.7, certainty: 0.4 };
  const { gradient } = attentionPenalty(map, weights);
  for (let k = 0; k < map.data.length; k++) {
    const at = (step: number) => {
      const moved = f32(map.shape, map.data.map((value, i) => i === k ? value + step : value));
      return attentionPenalty(moved, weights).penalty;
    };
    near(gradient.data[k]!, (at(1e-3) - at(-1e-3)) / 2e-3, 2e-4);
  }
});

Deno.test("training with a penalty uses experts more alike than training without", async () => {
  await using small = await openSmallTraining("noise");
  const unevenness = async (balance: number) => {
    const sabw = await small.openSabw();
    const usage = new AttentionUsage();
    const request = small.request(sabw, { steps: 6, batch: 2 });
    const aggregator = new PenalizedSabw(sabw, { balance, certainty: 0 }, 1);
    const ensemble = { ...request.ensemble, aggregator };
    for await (
      const _ of train({ ...request, ensemble, onSegment: (report) => usage.add(report) })
    ) {
      // Only what it leaves behind counts.
    }
    return Math.abs(usage.overall()[0]! - 0.5);
  };
  const [free, bound] = [await unevenness(0), await unevenness(1000)];
  assert.ok(bound < 0.7 * free, `${bound} is not below ${free}`);
});
