/**
 * A training run with all that surrounds the steps: held-out losses at intervals, early stop, checkpoints, and SABW to sample with. A generator
 * of events; printing is the caller's.
 *
 * In the run's folder: `checkpoints/step-N` to go on from, and `sabw`, the weights with the least held-out loss (without held-out examples
 * the newest).
 *
 * @module
 */

import { join } from "node:path";
import { TuttiError } from "../../shared/errors.ts";
import type { SabwDType } from "../sampling/methods/sabw/write_sabw_folder.ts";
import type { SabwMetadata } from "../sampling/methods/sabw/sabw_metadata.ts";
import { AttentionUsage } from "./attention_usage.ts";
import type { ForwardEnsemble } from "./batch_pass.ts";
import {
  type Checkpoint,
  type HeldOutPoint,
  writeCheckpoint,
  writeTrainedSabw,
} from "./checkpoint.ts";
import { average, evaluate } from "./held_out.ts";
import type { NoisyRow } from "./noisy_rows.ts";
import { NO_UPDATES } from "./optimizer.ts";
import { checkpointPath, removeOldCheckpoints } from "./run_folder.ts";
import { train, type TrainRequest } from "./train.ts";
import type { TrainableSabw } from "./trainable_sabw.ts";

export interface TrainingRun extends Omit<TrainRequest, "from" | "onSegment" | "parameters"> {
  readonly sabw: TrainableSabw;
  /** The same, for held-out losses. @default the one that is trained */
  readonly evaluated?: ForwardEnsemble;
  readonly metadata: SabwMetadata;
  /** The run's folder. */
  readonly out: string;
  /** None: nothing is evaluated. */
  readonly heldOut: readonly NoisyRow[];
  /** Steps between two evaluations. */
  readonly evaluateEvery: number;
  /** Evaluations without a new least loss after which the run ends. @default never */
  readonly patience?: number;
  /** Steps between two checkpoints. */
  readonly checkpointEvery: number;
  /** Checkpoints that are kept. */
  readonly keep: number;
  /** What SABW to sample with is stored as; checkpoints keep all bits. @default "float32" */
  readonly sabwDType?: SabwDType;
  /** Where an earlier run stopped. */
  readonly resumed?: Checkpoint;
  readonly now?: () => number;
}

export type TrainingEvent =
  | {
    readonly event: "step";
    readonly step: number;
    readonly loss: number;
    readonly samplesPerSecond: number;
  }
  | ({
    readonly event: "heldOut";
    readonly isBest: boolean;
    readonly elapsedMs: number;
  } & HeldOutPoint)
  | { readonly event: "checkpoint"; readonly step: number; readonly path: string };

export interface TrainingResult {
  readonly steps: number;
  readonly losses: readonly number[];
  readonly heldOut: readonly HeldOutPoint[];
  /** Whether patience ended it. */
  readonly isStoppedEarly: boolean;
  /** SABW to sample with. */
  readonly sabw: string;
  /** In the last steps, those since the checkpoint before the last. */
  readonly usage: AttentionUsage;
}

/**
 * @throws {TuttiError} what a step threw. A run that is cancelled leaves a checkpoint of its last step, one whose
 * values are not finite leaves those that it wrote
 */
export async function* runTraining(
  run: TrainingRun,
): AsyncGenerator<TrainingEvent, TrainingResult, void> {
  const { sabw, out, steps, batch, metadata, now = () => performance.now() } = run;
  const { recipe } = metadata;
  const losses = [...run.resumed?.record.losses ?? []];
  const heldOut = [...run.resumed?.record.heldOut ?? []];
  const usage = new AttentionUsage();
  const chosen = join(out, "sabw");
  let optimizer = run.resumed?.optimizer ?? NO_UPDATES;
  let written = optimizer.updates;

  const save = async (): Promise<TrainingEvent> => {
    const path = checkpointPath(out, optimizer.updates);
    await writeCheckpoint(path, {
      ...{ aggregators: sabw.aggregators, optimizer, metadata },
      record: { recipe, losses, heldOut },
    });
    written = optimizer.updates;
    await removeOldCheckpoints(out, run.keep);
    return { event: "checkpoint", step: written, path };
  };
  const writeChosen = () =>
    writeTrainedSabw(chosen, { aggregators: sabw.aggregators, metadata }, run.sabwDType);
  const evaluateNow = async (step: number): Promise<TrainingEvent> => {
    const options = run.signal ? { signal: run.signal } : {};
    const start = now();
    const { ensemble, evaluated = ensemble, rows, microBatch } = run;
    const loss = average(await evaluate(evaluated, rows, run.heldOut, microBatch, options));
    const isBest = heldOut.every((point) => loss < point.loss);
    heldOut.push({ step, loss });
    if (isBest) await writeChosen();
    return { event: "heldOut", isBest, elapsedMs: now() - start, step, loss };
  };

  const evaluates = run.heldOut.length > 0;
  // A resumed run may have been cancelled in the middle of an evaluation.
  const isDue = optimizer.updates >= steps || optimizer.updates % run.evaluateEvery === 0;
  if (evaluates && isDue && heldOut.at(-1)?.step !== optimizer.updates) {
    yield await evaluateNow(optimizer.updates);
  }
  let isStoppedEarly = isOutOfPatience(heldOut, run.patience);
  try {
    const request: TrainRequest = {
      ...run,
      parameters: sabw.parameters,
      onSegment: (report) => usage.add(report),
    };
    let start = now();
    const stepsToGo = isStoppedEarly ? optimizer.updates : steps;
    for await (
      const { step, loss, state } of train({ ...request, steps: stepsToGo, from: optimizer })
    ) {
      optimizer = state;
      losses.push(loss);
      yield { event: "step", step, loss, samplesPerSecond: batch * 1000 / (now() - start) };
      const isLast = step === steps;
      if (evaluates && (isLast || step % run.evaluateEvery === 0)) {
        yield await evaluateNow(step);
        isStoppedEarly = !isLast && isOutOfPatience(heldOut, run.patience);
      }
      if (isLast || isStoppedEarly || step % run.checkpointEvery === 0) {
        yield await save();
        if (!isLast && !isStoppedEarly) usage.reset();
      }
      if (isStoppedEarly) break;
      start = now();
    }
  } catch (error) {
    // Whatever ended it, a lost worker or a cancel: only numbers that are wrong are worth nothing.
    const isSound = TuttiError.from(error).code !== "DATA_LOSS";
    if (isSound && optimizer.updates > written) yield await save();
    throw error;
  }
  if (!evaluates) await writeChosen();
  return { steps: optimizer.updates, losses, heldOut, isStoppedEarly, sabw: chosen, usage };
}

/** Whether the least loss lies further back than `patience` evaluations. */
function isOutOfPatience(heldOut: readonly HeldOutPoint[], patience = Infinity): boolean {
  const least = Math.min(...heldOut.map(({ loss }) => loss));
  const sinceLeast = heldOut.length - 1 - heldOut.findIndex(({ loss }) => loss === least);
  return heldOut.length > 0 && sinceLeast >= patience;
}
