/**
 * One attempt at a piece of work on one replica: it ends with an answer, with a loss of the replica, or with an error that
 * every replica would give. Nothing here waits longer than the worker usually needs; before that is known, no longer than the
 * worker has something to do for the session, or may have (see `awaited_sessions.ts`).
 *
 * @module
 */

import { TuttiError, WorkerError } from "../../../shared/errors.ts";
import { type CallContext, lostMeanwhile } from "../call_errors.ts";
import type { Awaited } from "./awaited_sessions.ts";
import { Loss } from "./loss.ts";
import type { ReplicaPool } from "./replica_pool.ts";
import type { ReplicaUse } from "./replica_use.ts";

export interface Attempt<T> {
  readonly pool: ReplicaPool;
  readonly use: ReplicaUse;
  /** What takes equally long every time on one worker; without it only the silence of the worker ends the attempt. */
  readonly work?: string;
  /** The session whose answer is waited for; without it only the silence of the whole worker is noticed. */
  readonly awaits?: Omit<Awaited, "patience"> | undefined;
  /** In any case, ms. */
  readonly longestMs?: number;
  /** What the deadline is multiplied by. @default 1 */
  readonly patience?: number;
  /** For the error of a worker that is lost meanwhile. */
  readonly context?: CallContext;
  readonly signal: AbortSignal | undefined;
  readonly run: (signal: AbortSignal) => Promise<T>;
}

export type Outcome<T> =
  | { readonly answer: T }
  | {
    readonly loss: Loss;
    /** Since the attempt began. */
    readonly detectMs: number;
  };

/** @throws {TuttiError} what another replica would not change, and CANCELLED */
export async function attempt<T>(
  { pool, use, work, awaits, longestMs = Infinity, patience = 1, context, signal, run }: Attempt<T>,
): Promise<Outcome<T>> {
  const { replica, link } = use;
  using wait = awaits && link.awaited.await({ ...awaits, patience });
  const start = performance.now();
  const over = new AbortController();
  const deadlineMs = Math.min(longestMs, patience * usualDeadline(pool, use, work));
  const timer = Number.isFinite(deadlineMs)
    ? setTimeout(() => over.abort(), deadlineMs)
    : undefined;
  const signals = [
    ...[link.lost, over.signal],
    ...(wait ? [wait.lost] : []),
    ...(signal ? [signal] : []),
  ];
  try {
    const answer = await run(AbortSignal.any(signals));
    if (work !== undefined) replica.times.add(work, performance.now() - start);
    replica.succeeded();
    return { answer };
  } catch (error) {
    const detectMs = performance.now() - start;
    if (signal?.aborted) throw error;
    const loss = link.lost.aborted
      ? lossOfLink(link.lost.reason, replica.address, context)
      : wait?.lost.aborted
      ? lossOfLink(wait.lost.reason, replica.address, context)
      : over.signal.aborted
      ? new Loss("deadline", tooSlow(replica.address, deadlineMs, work))
      : Loss.of(error);
    if (!loss) throw error;
    return { loss, detectMs };
  } finally {
    clearTimeout(timer);
  }
}

function usualDeadline(
  pool: ReplicaPool,
  { replica }: ReplicaUse,
  work: string | undefined,
): number {
  const usual = work === undefined ? undefined : replica.times.p99(work);
  if (usual === undefined) return Infinity;
  const { deadlineFloorMs, deadlineFactor, lastPatience } = pool.settings;
  const deadlineMs = Math.max(deadlineFloorMs, deadlineFactor * usual);
  return deadlineMs * (pool.hasSpare(replica) ? 1 : lastPatience);
}

/** Whoever gave the worker up did not know of this work. */
function lossOfLink(cause: unknown, worker: string, context: CallContext | undefined): Loss {
  const error = TuttiError.from(cause);
  const reason = Loss.of(error)?.reason ?? "connection";
  return new Loss(reason, context ? lostMeanwhile(error, worker, context) : error);
}

function tooSlow(worker: string, deadlineMs: number, work = "work"): WorkerError {
  return new WorkerError(
    "DEADLINE_EXCEEDED",
    `Worker ${worker} took longer than ${Math.round(deadlineMs)} ms for ${work}: more than usual`,
    { details: { worker } },
  );
}
