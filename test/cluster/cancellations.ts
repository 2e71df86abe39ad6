/**
 * Runs that are cancelled at random points, all against one worker: while their text is encoded, while their session is
 * opened or waits for room, between two blocks and in the middle of one.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { readWorkerStatus } from "../../coordinator/cluster/worker_status.ts";
import { TuttiError } from "../../shared/errors.ts";
import { Mt19937 } from "../../shared/tensor/mt19937.ts";
import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { eventually } from "../support/serve_expert.ts";

/** Runs at a time: more than the worker should have sessions, so that some are cancelled in its queue. */
const AT_ONCE = 4;

export interface CancellationReport {
  /** Runs that were cancelled, and those that had ended before. */
  readonly cancelled: number;
  readonly finished: number;
  /** From the last cancellation until the worker holds and computes nothing, ms. */
  readonly idleAfterMs: number;
  readonly status: WorkerStatus;
}

/**
 * @param seed of the points
 * @throws {Error} if a run ends in another way than by being cancelled, or the worker does not come to rest
 */
export async function cancelRuns(
  address: string,
  count: number,
  seed: number,
): Promise<CancellationReport> {
  const random = new Mt19937(seed);
  const uniform = () => random.random32() / 2 ** 32;
  const wholeRunMs = await timeOfRun(address);
  let left = count, cancelled = 0, finished = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (left-- > 0) {
      if (await isCancelled(address, uniform() * wholeRunMs)) cancelled++;
      else finished++;
    }
  }));
  const start = performance.now();
  let status = await readWorkerStatus(address);
  await eventually(async () => {
    status = await readWorkerStatus(address);
    const { sessions, waitingSessions, arenaBytesUsed, busyLanes, queueDepth } = status;
    return sessions + waitingSessions + arenaBytesUsed + busyLanes + queueDepth === 0;
  });
  return { cancelled, finished, idleAfterMs: performance.now() - start, status };
}

async function timeOfRun(address: string): Promise<number> {
  await run(address);
  const start = performance.now();
  await run(address);
  return performance.now() - start;
}

/** Cancels a run after so long; false if it has ended before. */
async function isCancelled(address: string, afterMs: number): Promise<boolean> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), afterMs);
  try {
    await run(address, abort.signal);
    return false;
  } catch (error) {
    assert.equal(TuttiError.from(error).code, "CANCELLED", `it ended otherwise: ${error}`);
    return true;
  } finally {
    clearTimeout(timer);
  }
}

/** A whole image. */
async function run(address: string, signal?: AbortSignal): Promise<void> {
  const remote = await connectExpert(address, { ...(signal && { signal }) });
  try {
    const config = { ...await sessionConfig(remote), waitMs: 600_000 };
    const session = await remote.openSession(config, signal);
    const hiddenStates = latentsFor(remote.description, config);
    for (const stepIndex of config.timesteps.keys()) {
      await session.forward({ stepIndex, first: "IN00", last: "OUT11", hiddenStates }, signal);
    }
  } finally {
    await remote.close();
  }
}
