/**
 * The training loop (`docs/spec.md`, "Training") as a generator: it yields after each update; checkpoints, held-out losses and progress are the
 * caller's. What a step does follows from the seed and the step's number, so a run that goes on from a checkpoint ends with the bits of one
 * that was never interrupted.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import { lincomb } from "../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { AdamwOptions } from "./adamw.ts";
import { batchGradients, type PassOptions, type TrainableEnsemble } from "./batch_pass.ts";
import type { Example } from "./dataset/examples.ts";
import { learningRateAt } from "./learning_rate.ts";
import type { NoisyRow, NoisyRows } from "./noisy_rows.ts";
import { type BlockTensors, NO_UPDATES, type OptimizerState, updateWeights } from "./optimizer.ts";
import { seededOrder } from "./seeded_draws.ts";

export interface TrainRequest extends PassOptions {
  readonly ensemble: TrainableEnsemble;
  /** The weights of the ensemble's aggregator: each step writes new ones there. */
  readonly parameters: BlockTensors;
  readonly rows: NoisyRows;
  readonly examples: readonly Example[];
  /** Updates in all, those before `from` included. */
  readonly steps: number;
  /** Rows of an update. */
  readonly batch: number;
  /** Rows that go through the experts together: memory grows with them, numbers do not change. */
  readonly microBatch: number;
  /** Probability that a row loses its text. */
  readonly dropText: number;
  readonly adamw: AdamwOptions;
  /** Updates at the end over which the learning rate falls. @default 0 */
  readonly cooldown?: number;
  readonly seed: bigint;
  /** Where an earlier run stopped. @default at the beginning */
  readonly from?: OptimizerState;
}

export interface TrainStep {
  /** 1 for the first. */
  readonly step: number;
  /** Before the update, mean over the batch. */
  readonly loss: number;
  readonly state: OptimizerState;
}

/**
 * @throws {TuttiError} DATA_LOSS if a value is not finite; details name the block. The weights are then those of the last step
 * that was yielded
 */
export async function* train(request: TrainRequest): AsyncGenerator<TrainStep, void, void> {
  const { parameters, batch, adamw, steps, cooldown = 0 } = request;
  const order = new DataOrder(request.seed, request.examples.length);
  let state = request.from ?? NO_UPDATES;
  while (state.updates < steps) {
    const step = state.updates + 1;
    const first = state.updates * batch;
    const rows = Array.from({ length: batch }, (_, i) => rowAt(request, order, first + i));
    const { loss, gradients } = await accumulate(request, rows).catch((error) => {
      throw namingStep(error, step);
    });
    const learningRate = learningRateAt(step, { ...adamw, steps, cooldown });
    state = updateWeights(parameters, gradients, state, { ...adamw, learningRate });
    yield { step, loss, state };
  }
}

/** Which example comes at a position of an endless run over the data, each epoch in another order. */
class DataOrder {
  readonly #seed: bigint;
  readonly #count: number;
  #epoch = -1;
  #order: readonly number[] = [];

  constructor(seed: bigint, count: number) {
    this.#seed = seed;
    this.#count = count;
  }

  at(position: number): number {
    const epoch = Math.floor(position / this.#count);
    if (epoch !== this.#epoch) {
      this.#order = seededOrder(this.#seed, ["order", epoch], this.#count);
      this.#epoch = epoch;
    }
    return this.#order[position % this.#count]!;
  }
}

function rowAt(
  { examples, rows, seed, dropText }: TrainRequest,
  order: DataOrder,
  position: number,
): NoisyRow {
  const example = examples[order.at(position)]!;
  return { example, draw: rows.draw(seed, ["train", position], dropText) };
}

/** Gradients of the mean over all rows, from micro-batches. */
async function accumulate(
  { ensemble, rows: noisyRows, microBatch, onSegment, signal }: TrainRequest,
  rows: readonly NoisyRow[],
): Promise<{ readonly loss: number; readonly gradients: BlockTensors }> {
  let loss = 0;
  const sums = new Map<string, Map<string, F32Tensor>>();
  for (let start = 0; start < rows.length; start += microBatch) {
    const part = rows.slice(start, start + microBatch);
    const share = part.length / rows.length;
    const result = await batchGradients(ensemble, await noisyRows.batch(part, signal), {
      ...(onSegment && { onSegment }),
      ...(signal && { signal }),
    });
    loss += share * result.loss;
    for (const [block, byKey] of result.gradParameters) {
      const sum = sums.get(block) ?? new Map<string, F32Tensor>();
      sums.set(block, sum);
      for (const [key, gradient] of byKey) {
        const before = sum.get(key);
        sum.set(key, lincomb([[share, gradient], ...(before ? [[1, before] as const] : [])]));
      }
    }
  }
  return { loss, gradients: sums };
}

function namingStep(cause: unknown, step: number): TuttiError {
  const error = TuttiError.from(cause);
  if (error.code !== "DATA_LOSS") return error;
  const { code, message, details } = error;
  const where = details.block === undefined ? "" : ` at block ${details.block}`;
  return new TuttiError(code, `Training stopped in step ${step}${where}: ${message}`, {
    cause,
    details: { ...details, step: String(step) },
  });
}
