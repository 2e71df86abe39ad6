/**
 * One image on the cluster, drawn by this process as its coordinator, with what happens to it on the way: at a moment that was
 * drawn by lot, an action strikes the worker that an expert's session is on.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { listWorkerSessions } from "../../../coordinator/cluster/worker_status.ts";
import type { ReplicaEvent } from "../../../coordinator/cluster/replicas/replica_events.ts";
import type { Ensemble } from "../../../coordinator/ensemble/ensemble.ts";
import type { JobSpec } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import type { SegmentReport } from "../../../coordinator/sampling/ensemble_forward.ts";
import { TuttiError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { Action } from "./scenario.ts";
import type { FleetWorker, WorkerFleet } from "./worker_fleet.ts";

/** An event with its lot drawn: it strikes while the block after `after` is under way. */
export interface Strike {
  readonly step: number;
  /** Index of the block whose end is the sign. */
  readonly afterBlock: number;
  readonly expert: string;
  readonly action: Action;
}

export interface ImageRun {
  readonly ensemble: Ensemble;
  readonly fleet: WorkerFleet;
  readonly spec: JobSpec;
  readonly job: string;
  readonly strikes: readonly Strike[];
  /** Told of each strike, and of what has to be waited for before the fleet is whole again. */
  readonly onStrike: (
    worker: FleetWorker | undefined,
    at: number,
    strike: Strike,
    repair: Promise<void>,
  ) => void;
}

export interface ImageOutcome {
  readonly latents?: F32Tensor;
  readonly error?: TuttiError;
  /** When strikes came, `performance.now()`. */
  readonly struckAt: readonly number[];
  /** Strikes for which no session was found: the image ended before. */
  readonly missed: number;
}

/** What a replica event tells, with when it came. */
export type TimedEvent = ReplicaEvent & { readonly at: number };

export async function drawImage(run: ImageRun): Promise<ImageOutcome> {
  const { ensemble, fleet, spec, job, strikes, onStrike } = run;
  const blocks = ensemble.experts[0]!.description.blocks.map(({ id }) => id);
  const abort = new AbortController();
  const struckAt: number[] = [];
  const waiting = [...strikes];
  const repairs: (() => void)[] = [];
  const striking: Promise<void>[] = [];
  let missed = 0;

  const strike = async (next: Strike, seen: Promise<FleetWorker | undefined>) => {
    if (next.action.kind === "cancel") {
      struckAt.push(performance.now());
      return abort.abort();
    }
    if (next.action.kind === "nats away") {
      const at = performance.now();
      struckAt.push(at);
      return onStrike(undefined, at, next, fleet.sendNatsAway(next.action.seconds));
    }
    const worker = await seen;
    const at = performance.now();
    // An earlier strike may have ended it.
    const repair = worker && strikeWorker(worker, next.action, repairs);
    if (!worker || !repair) return void missed++;
    struckAt.push(at);
    onStrike(worker, at, next, repair);
  };
  /** Where the next strike will find its worker, asked for up to a step before: then the strike itself waits for nothing. */
  let seen: { readonly by: Strike; readonly worker: Promise<FleetWorker | undefined> } | undefined;
  const onSegment = ({ stepIndex, last }: SegmentReport) => {
    const index = blocks.indexOf(last);
    const next = waiting[0];
    if (!next) return;
    if (seen?.by !== next && stepIndex >= next.step - 1) {
      seen = { by: next, worker: workerOf(fleet, next.expert) };
    }
    // Once this turn of the event loop is over the following block's call has left. A timer would be 1 ms late, which is longer
    // than small blocks take.
    if (stepIndex < next.step || (stepIndex === next.step && index < next.afterBlock)) return;
    waiting.shift();
    const { worker } = seen!;
    setImmediate(() => striking.push(strike(next, worker)));
  };
  try {
    const { latents } = await runJob({
      ...{ ensemble, spec, job, onSegment, signal: abort.signal },
      warn: () => {},
    });
    return { latents, struckAt, missed };
  } catch (error) {
    return { error: TuttiError.from(error), struckAt, missed };
  } finally {
    await Promise.all(striking);
    for (const repair of repairs) repair();
  }
}

/** The replica that has a session now. */
async function workerOf(fleet: WorkerFleet, expert: string): Promise<FleetWorker | undefined> {
  for (const worker of fleet.of(expert)) {
    // Behind a proxy the question goes through it, too: it is there until the strike.
    const sessions = await listWorkerSessions(worker.address).catch(() => []);
    if (sessions.length > 0) return worker;
  }
  return undefined;
}

/**
 * @returns when the worker is there again, or undefined if it is gone already; what must wait for the image's end is added
 * to `repairs`
 */
function strikeWorker(
  worker: FleetWorker,
  action: Exclude<Action, { kind: "cancel" | "nats away" }>,
  repairs: (() => void)[],
): Promise<void> | undefined {
  switch (action.kind) {
    case "end":
      if (action.holdsCall) worker.proxy!.stall();
      if (!worker.signal(action.signal)) return undefined;
      if (action.holdsCall) void worker.result.catch(() => {}).then(() => worker.proxy!.cut());
      return action.startsAgain ? worker.restart() : Promise.resolve();
    case "freeze":
      if (!worker.signal("SIGSTOP")) return undefined;
      repairs.push(() => worker.signal("SIGCONT"));
      return Promise.resolve();
    case "cut":
      worker.proxy!.cut();
      return Promise.resolve();
    case "stall":
      worker.proxy!.stall();
      // What was stalled stays so, and ends with its connections; new ones work.
      repairs.push(() => worker.proxy!.cut());
      return Promise.resolve();
    case "flip":
      for (const connection of worker.proxy!.connections) {
        const atByte = connection.passedBytes[action.direction] + Math.floor(Math.random() * 2000);
        connection.plan(action.direction, { kind: "flip", atByte });
      }
      return Promise.resolve();
  }
}
