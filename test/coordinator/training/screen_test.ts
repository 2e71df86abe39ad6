import assert from "node:assert/strict";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { evaluate } from "../../../coordinator/training/held_out.ts";
import {
  electWinner,
  headroom,
  screen,
  type ScreenRequest,
  type ScreenResult,
} from "../../../coordinator/training/screen.ts";
import { NoisyRows } from "../../../coordinator/training/noisy_rows.ts";
import { SeededDraws } from "../../../coordinator/training/seeded_draws.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { openSmallTraining, type SmallTraining } from "./small_training.ts";

Deno.test("electWinner() lets all draws vote but the one that the winner is applied to", () => {
  // One element, by expert and draw.
  const errors = [[[1], [1], [9]], [[2], [2], [0]]];
  assert.equal(electWinner(errors, 0, 2), 0);
  // One vote each: the least sum decides.
  assert.equal(electWinner(errors, 0, 0), 1);
  const even = [[[1], [4], [5]], [[2], [3], [0]]];
  assert.equal(electWinner(even, 0, 2), 0);
  assert.equal(electWinner([[[5], [1], [1]], [[0], [2], [2]]], 0, 0), 0);
});

function request(small: SmallTraining, changes: Partial<ScreenRequest> = {}): ScreenRequest {
  return {
    ...{ experts: small.experts, rows: small.rows, examples: small.examples.slice(0, 2) },
    ...{ timestepsPerExample: 2, draws: 3, numTrainTimesteps: 1000, seed: 5n },
    ...changes,
  };
}

async function last(request: ScreenRequest): Promise<ScreenResult> {
  return (await Array.fromAsync(screen(request))).at(-1)!;
}

Deno.test("screening tells each expert's own loss, and that of the noise's average", async () => {
  await using small = await openSmallTraining();
  const result = await last(request(small));
  const heldOut = small.examples.slice(0, 2).flatMap((example, i) =>
    [0, 1].flatMap((j) => {
      const timestep = new SeededDraws(5n, ["screen", i, j]).below(1000);
      const { latentNoise } = small.rows.draw(5n, ["screen", i, j], 0);
      return [0, 1, 2].map((k) => ({
        example,
        draw: { ...small.rows.draw(5n, ["screen", i, j, k], 0), latentNoise, timestep },
      }));
    })
  );
  const plan = aggregationPlan(small.experts[0]!.description.blocks, "noise");
  const aggregator = new UniformAggregator();
  const near = (actual: number, losses: number[]) => {
    const expected = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    assert.ok(Math.abs(actual / expected - 1) < 1e-4, `${actual} is not ${expected}`);
  };
  for (const [i, expert] of small.experts.entries()) {
    const alone = { experts: [expert], aggregator, plan };
    near(result.experts[i]!, await evaluate(alone, small.rows.ofExpert(i), heldOut, 12));
  }
  const all = { experts: small.experts, aggregator, plan };
  near(result.averaging, await evaluate(all, small.rows, heldOut, 12));
  assert.ok(Math.abs(result.wins[0]! + result.wins[1]! - 1) < 1e-12);
  assert.ok(result.wins.every((share) => share > 0.1));
});

/** The expert, its predictions on one half of the image wrong by 1. */
function wrongOn(half: "left" | "right", expert: Expert): Expert {
  return {
    description: expert.description,
    encodeText: (...args) => expert.encodeText(...args),
    embedTimesteps: (...args) => expert.embedTimesteps(...args),
    close: () => expert.close(),
    openSession: async (...args) => {
      const session = await expert.openSession(...args);
      return {
        inputBuffer: (range) => session.inputBuffer(range),
        close: () => session.close(),
        forward: async (...range) => {
          const result = await session.forward(...range);
          const { shape, data } = result.hiddenStates;
          const width = shape.at(-1)!;
          const moved = data.map((value, i) =>
            (i % width < width / 2) === (half === "left") ? value + 1 : value
          );
          return { ...result, hiddenStates: f32(shape, moved) };
        },
      };
    },
  };
}

Deno.test("screening finds what each of two experts does better, and nothing between an expert and itself", async () => {
  await using small = await openSmallTraining();
  const [a] = small.experts;
  const rows = new NoisyRows({ ...small.rowsOptions, texts: small.texts([a!, a!]) });
  const twins = await last(request(small, { experts: [a!, a!], rows, draws: 5 }));
  assert.equal(headroom(twins), 0);
  const halves = [wrongOn("left", a!), wrongOn("right", a!)];
  const result = await last(request(small, { experts: halves, rows, draws: 5 }));
  // The right halves together are the expert itself; where noise decided, the vote is wrong.
  const [whole] = twins.experts;
  assert.ok(result.router < 1.2 * whole!, `${result.router} ${whole}`);
  assert.ok(headroom(result) > 20, `${headroom(result)}`);
});
