/**
 * How much an ensemble can gain, before anything is trained (`docs/spec.md`, "Screening"): the cross-seed router. All experts predict the same noisy latents; for
 * every element of the prediction the draws of noise but one vote which expert is nearest, and the winner is applied to the draw that did not
 * vote. What the router gains over the best single expert is there to be learnt; what only luck explains does not carry over to
 * another draw.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { noisePrediction } from "./single_prediction.ts";
import type { NoisyRow, NoisyRows } from "./noisy_rows.ts";
import type { Example } from "./dataset/examples.ts";
import { SeededDraws } from "./seeded_draws.ts";

export interface ScreenRequest {
  readonly experts: readonly Expert[];
  readonly rows: NoisyRows;
  readonly examples: readonly Example[];
  /** Timesteps per example. */
  readonly timestepsPerExample: number;
  /** Draws of noise at each of them; one does not vote. At least 2. */
  readonly draws: number;
  readonly numTrainTimesteps: number;
  readonly seed: bigint;
  readonly signal?: AbortSignal;
}

/** Mean squares over everything. */
export interface ScreenResult {
  /** Of each expert alone. */
  readonly experts: readonly number[];
  readonly router: number;
  /** Of the mean of all predictions: noise averaging. */
  readonly averaging: number;
  /** Share of elements that each expert won. */
  readonly wins: readonly number[];
}

/** What the router saves of the best single expert's loss, in percent. */
export function headroom({ experts, router }: ScreenResult): number {
  const best = Math.min(...experts);
  return 100 * (best - router) / best;
}

/** Yields the result so far after each example. */
export async function* screen(request: ScreenRequest): AsyncGenerator<ScreenResult, void, void> {
  const { experts, examples, timestepsPerExample, numTrainTimesteps, seed, signal } = request;
  const tally = new Tally(experts.length);
  for (const [i, example] of examples.entries()) {
    for (let j = 0; j < timestepsPerExample; j++) {
      throwIfAborted(signal);
      const timestep = new SeededDraws(seed, ["screen", i, j]).below(numTrainTimesteps);
      tally.add(await squaredErrors(request, example, [i, j], timestep));
    }
    yield tally.result();
  }
}

/** By expert and draw, and those of the mean prediction by draw. */
interface Errors {
  readonly experts: readonly (readonly Float32Array[])[];
  readonly averaging: readonly Float32Array[];
}

async function squaredErrors(
  { experts, rows, draws, seed, signal }: ScreenRequest,
  example: Example,
  position: readonly [number, number],
  timestep: number,
): Promise<Errors> {
  const noisy = Array.from({ length: draws }, (_, k): NoisyRow => {
    // The same latents in all draws: only the noise on them differs.
    const { latentNoise } = rows.draw(seed, ["screen", ...position], 0);
    const draw = rows.draw(seed, ["screen", ...position, k], 0);
    return { example, draw: { ...draw, latentNoise, timestep } };
  });
  const batch = await rows.batch(noisy, signal);
  const predictions = await Promise.all(
    experts.map((expert, i) => noisePrediction(expert, batch, i, signal)),
  );
  const size = batch.target.data.length / draws;
  const byDraw = (prediction: (i: number) => number) =>
    Array.from(
      { length: draws },
      (_, k) =>
        Float32Array.from(
          { length: size },
          (_, e) => (prediction(k * size + e) - batch.target.data[k * size + e]!) ** 2,
        ),
    );
  const mean = (i: number) =>
    predictions.reduce((sum, { data }) => sum + data[i]!, 0) / predictions.length;
  return {
    experts: predictions.map(({ data }: F32Tensor) => byDraw((i) => data[i]!)),
    averaging: byDraw(mean),
  };
}

class Tally {
  readonly #experts: number[];
  readonly #wins: number[];
  #router = 0;
  #averaging = 0;
  #count = 0;

  constructor(numExperts: number) {
    this.#experts = new Array<number>(numExperts).fill(0);
    this.#wins = new Array<number>(numExperts).fill(0);
  }

  add({ experts, averaging }: Errors): void {
    for (const [k, errors] of averaging.entries()) {
      this.#count += errors.length;
      for (let e = 0; e < errors.length; e++) {
        const winner = electWinner(experts, e, k);
        this.#wins[winner]!++;
        this.#router += experts[winner]![k]![e]!;
        this.#averaging += errors[e]!;
        for (const [i, draws] of experts.entries()) this.#experts[i]! += draws[k]![e]!;
      }
    }
  }

  result(): ScreenResult {
    const mean = (sum: number) => sum / this.#count;
    return {
      experts: this.#experts.map(mean),
      router: mean(this.#router),
      averaging: mean(this.#averaging),
      wins: this.#wins.map(mean),
    };
  }
}

/**
 * The expert that is nearest in most draws other than `heldOut`; of several, the one with the least error in them.
 *
 * @param errors by expert and draw, squared
 */
export function electWinner(
  errors: readonly (readonly ArrayLike<number>[])[],
  element: number,
  heldOut: number,
): number {
  const votes = errors.map(() => 0);
  const sums = errors.map(() => 0);
  const draws = errors[0]!.length;
  for (let k = 0; k < draws; k++) {
    if (k === heldOut) continue;
    let nearest = 0;
    for (let i = 0; i < errors.length; i++) {
      const error = errors[i]![k]![element]!;
      sums[i]! += error;
      if (error < errors[nearest]![k]![element]!) nearest = i;
    }
    votes[nearest]!++;
  }
  return votes.reduce(
    (best, count, i) =>
      count > votes[best]! || (count === votes[best]! && sums[i]! < sums[best]!) ? i : best,
    0,
  );
}
