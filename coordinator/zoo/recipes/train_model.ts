/**
 * Trains a model from a recipe: AdamW, one-cycle learning rate, a moving average of the weights. A generator that yields after each
 * update; a run that goes on from its newest checkpoint ends with the bits of one that was never interrupted.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { ADAMW_DEFAULTS, adamwInPlace } from "../../training/adamw.ts";
import { FlatTensors } from "./flat_tensors.ts";
import {
  loadCheckpoint,
  type ModelState,
  type RunSettings,
  saveCheckpoint,
} from "./model_checkpoint.ts";
import { averageDecay, moveAverage } from "./moving_average.ts";
import { oneCycle } from "./one_cycle.ts";
import type { LossInputs, TrainableModel } from "./trainable_model.ts";

export interface OptimizerSettings {
  /** Updates in all. */
  readonly steps: number;
  /** Rows of an update; a multiple of the model's. */
  readonly batch: number;
  readonly highestRate: number;
  readonly averageDecay: number;
}

export interface ModelRun extends OptimizerSettings {
  readonly stage: string;
  readonly model: TrainableModel;
  /** Of checkpoints. */
  readonly folder: string;
  /** All that the numbers follow from besides those of the optimiser. */
  readonly settings: RunSettings;
  readonly checkpointEvery: number;
  /** Rows `first` to `first + model.batch` of the endless stream that the run sees. */
  readonly inputs: (first: number) => Promise<LossInputs>;
  readonly signal?: AbortSignal;
}

export interface ModelStep {
  /** 1 for the first. */
  readonly step: number;
  /** Before the update, mean over the batch. */
  readonly loss: number;
}

export interface TrainedModel {
  readonly losses: readonly number[];
  /** What the model is used with. */
  readonly average: FlatTensors;
}

/**
 * @throws {TuttiError} DATA_LOSS naming stage and step if a loss or gradient is not finite: the checkpoints are those of before
 * @throws {FormatError} if the newest checkpoint has other settings
 */
export async function* trainModel(run: ModelRun): AsyncGenerator<ModelStep, TrainedModel, void> {
  const { model, folder, steps, batch, signal } = run;
  const state = initialState(model);
  const settings = { ...run.settings, ...optimizerSettings(run) };
  const losses = await loadCheckpoint(folder, state, settings);
  const runs = batch / model.batch;
  let next = losses.length < steps ? sideBySide(run, losses.length * batch) : undefined;
  let saved = losses.length;
  try {
    while (losses.length < steps) {
      throwIfAborted(signal);
      const update = losses.length + 1;
      let loss = 0;
      for (let part = 0; part < runs;) {
        const inputs = await next!;
        const isFirst = part === 0;
        part += inputs.length;
        // Drawn while the model computes.
        const row = losses.length * batch + part * model.batch;
        next = row < steps * batch ? sideBySide(run, row) : undefined;
        next?.catch(() => {/* Thrown where it is awaited. */});
        const ofRows = await model.addGradients(inputs, 1 / batch, isFirst);
        loss += ofRows.reduce((sum, value) => sum + value, 0) / batch;
      }
      checkFinite(run, update, loss);
      updateWeights(run, state, update);
      losses.push(loss);
      yield { step: update, loss };
      if (update % run.checkpointEvery === 0 || update === steps) {
        await saveCheckpoint(folder, state, { settings, losses });
        saved = update;
      }
    }
  } catch (error) {
    const isCancelled = TuttiError.from(error).code === "CANCELLED";
    if (isCancelled && losses.length > saved) {
      await saveCheckpoint(folder, state, { settings, losses });
    }
    throw error;
  }
  return { losses, average: state.average };
}

/** Inputs of the runs from row `first` on that go side by side: those of one update. */
function sideBySide({ model, batch, inputs }: ModelRun, first: number): Promise<LossInputs[]> {
  const runsLeft = (batch - first % batch) / model.batch;
  const count = Math.min(model.lanes, runsLeft);
  return Promise.all(Array.from({ length: count }, (_, i) => inputs(first + i * model.batch)));
}

function optimizerSettings(run: ModelRun): RunSettings {
  const { steps, batch, highestRate, averageDecay, model } = run;
  return { steps, batch, microBatch: model.batch, highestRate, averageDecay };
}

/** At the model's own weights. */
function initialState(model: TrainableModel): ModelState {
  const parameters = model.trained;
  const [first, second, average] = [0, 0, 0].map(() => new FlatTensors(parameters.shapes));
  average!.data.set(parameters.data);
  return { parameters, first: first!, second: second!, average: average! };
}

function updateWeights(
  { model, steps, highestRate, ...run }: ModelRun,
  { parameters, first, second, average }: ModelState,
  update: number,
): void {
  const arrays = { parameter: parameters.data, gradient: model.gradients.data };
  adamwInPlace({ ...arrays, first: first.data, second: second.data }, update, {
    ...ADAMW_DEFAULTS,
    learningRate: oneCycle(update, steps, highestRate),
  });
  moveAverage(average.data, parameters.data, averageDecay(update, run.averageDecay));
}

function checkFinite({ stage, model, folder }: ModelRun, step: number, loss: number): void {
  const norm = Math.sqrt(model.gradients.data.reduce((sum, value) => sum + value * value, 0));
  for (const [what, value] of Object.entries({ Loss: loss, "Norm of the gradient": norm })) {
    if (Number.isFinite(value)) continue;
    throw new TuttiError(
      "DATA_LOSS",
      `Stage "${stage}" stopped in step ${step}: ${what} must be finite: current value is ${value}. ` +
        `The newest checkpoint in "${folder}" is of before`,
      { details: { stage, step: String(step) } },
    );
  }
}
