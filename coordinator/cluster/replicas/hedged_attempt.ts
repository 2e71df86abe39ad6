/**
 * One range on two replicas: a spare session gets it, too, when the first takes longer than usual, and the first answer counts.
 * Replicas compute the same bits, so nobody can tell whose it was. The slower one is cancelled, which is no loss.
 *
 * @module
 */

import type { ExpertSession } from "../../../shared/engine/expert.ts";
import { delay } from "../delay.ts";
import { attempt, type Outcome } from "./attempt.ts";
import type { Replayed } from "./replay.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaPool } from "./replica_pool.ts";
import type { Lease, SpareSession } from "./spare_session.ts";

export interface HedgedAttempt<T> {
  readonly pool: ReplicaPool;
  readonly lease: Lease;
  readonly spares: SpareSession;
  /** When the spare is asked, ms. */
  readonly afterMs: number;
  /** Whether a spare catches up without computing anything again. */
  readonly isCheap: () => boolean;
  readonly catchUp: (session: ExpertSession, signal: AbortSignal) => Promise<Replayed>;
  readonly on: (lease: Lease, signal: AbortSignal) => Promise<Outcome<T>>;
  readonly signal: AbortSignal | undefined;
}

type Lost = Exclude<Outcome<unknown>, { readonly answer: unknown }> & { readonly at: number };

export type HedgedOutcome<T> =
  | {
    readonly by: "first";
    readonly outcome: Outcome<T>;
    /** Who was asked, too. */
    readonly spare?: Replica;
  }
  | {
    readonly by: "second";
    readonly answer: T;
    /** The spare's session, for the caller to go on with. */
    readonly lease: Lease;
    readonly replayed: Replayed;
    /** What had become of the first one by then. */
    readonly lost?: Lost;
  };

type Second<T> = Extract<HedgedOutcome<T>, { by: "second" }>;

/**
 * A first one that is lost leaves the spare, if that was asked already, the time that it needs.
 *
 * @throws {TuttiError} what the first one throws; whatever becomes of the spare, the first one is waited for
 */
export async function hedgedAttempt<T>(
  { pool, lease, spares, afterMs, isCheap, catchUp, on, signal }: HedgedAttempt<T>,
): Promise<HedgedOutcome<T>> {
  const stop = new AbortController();
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  spares.warm(lease.replica);
  let spare: Lease | undefined;
  let lost: Lost | undefined;

  const askSpare = async (): Promise<Second<T> | undefined> => {
    await delay(afterMs, either);
    const taken = isCheap() ? await spares.take(lease.replica, either) : undefined;
    if (!taken) return undefined;
    spare = taken;
    const caughtUp = await attempt({
      ...{ pool, use: taken, signal: either },
      run: (signal) => catchUp(taken.session, signal),
    });
    const outcome = "answer" in caughtUp ? await on(taken, either) : caughtUp;
    if ("answer" in caughtUp && "answer" in outcome) {
      const { answer: replayed } = caughtUp;
      return {
        by: "second",
        answer: outcome.answer,
        lease: taken,
        replayed,
        ...(lost && { lost }),
      };
    }
    if ("loss" in outcome) taken.replica.lost(outcome.loss, taken.link);
    return undefined;
  };
  const second = askSpare().catch(() => undefined);
  const first = on(lease, either).then(async (outcome): Promise<HedgedOutcome<T>> => {
    if ("loss" in outcome) lost = { ...outcome, at: performance.now() };
    const helped = lost && spare && await second;
    return helped ?? { by: "first", outcome, ...(spare && { spare: spare.replica }) };
  });
  let winner: HedgedOutcome<T> | undefined;
  try {
    return winner = await Promise.race([first, second.then((result) => result ?? first)]);
  } finally {
    stop.abort();
    // Once the spare has answered, nobody hears what becomes of the first one.
    first.catch(() => {});
    // It may be taken at this very moment.
    if (winner?.by !== "second") second.then(() => spare && spares.end(spare));
  }
}
