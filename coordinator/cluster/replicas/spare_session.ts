/**
 * A session that waits on another replica until it is needed: opened in the background, and brought to where a step stands
 * only then.
 *
 * @module
 */

import type { ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { Loss } from "./loss.ts";
import type { Replica } from "./replica.ts";
import { type ReplicaPool, untilAborted } from "./replica_pool.ts";
import { type ReplicaUse, useReplica } from "./replica_use.ts";

/** A session on one replica. */
export interface Lease extends ReplicaUse {
  readonly session: ExpertSession;
}

export class SpareSession {
  readonly #pool: ReplicaPool;
  readonly #config: SessionConfig;
  readonly #closed = new AbortController();
  #opening: Promise<Lease | undefined> | undefined;
  /** That of `#opening`, once it is there. */
  #opened: Lease | undefined;

  constructor(pool: ReplicaPool, config: SessionConfig) {
    this.#pool = pool;
    // Who has no room for a spare says so at once.
    this.#config = { ...config, waitMs: 0, canMove: true, jobSessions: 1 };
  }

  /** Opens it, if that was not tried since it was taken last, on the best replica but `other`. */
  warm(other: Replica): void {
    if (this.#opening || this.#closed.signal.aborted) return;
    const opening = this.#opening = this.#open(other);
    opening.then((lease) => {
      if (this.#opening !== opening) return lease && this.end(lease);
      this.#opened = lease;
      // A worker ends a session that is not asked for anything; the next one is opened when there is a reason again.
      lease?.session.ended?.then(() => this.#forget(lease));
    });
  }

  /**
   * Gives it away, opened first if need be. Undefined if no replica but `other` has one to give.
   *
   * @throws {TuttiError} CANCELLED, and it stays where it is
   */
  async take(other: Replica, signal: AbortSignal): Promise<Lease | undefined> {
    this.warm(other);
    if (this.#opening) await untilAborted(this.#opening, signal);
    const lease = this.takeOpened(other);
    // Where there was none, another one is looked for next time.
    this.#opening = undefined;
    return lease;
  }

  /** Gives it away if it is there. */
  takeOpened(other: Replica): Lease | undefined {
    const lease = this.#opened;
    if (!lease) return undefined;
    this.#opening = this.#opened = undefined;
    if (lease.replica !== other && !lease.link.lost.aborted) return lease;
    this.end(lease);
    return undefined;
  }

  close(): void {
    this.#closed.abort();
    const lease = this.#opened;
    // One that is still being opened is ended when it is there.
    this.#opening = this.#opened = undefined;
    if (lease) this.end(lease);
  }

  #forget(lease: Lease): void {
    if (this.#opened !== lease) return;
    this.#opening = this.#opened = undefined;
    this.end(lease);
  }

  /** Never throws: without a spare everything goes on as it does. */
  async #open(other: Replica): Promise<Lease | undefined> {
    const { signal } = this.#closed;
    const replica = this.#pool.candidates().find((one) =>
      one !== other && !one.isBanned && !one.isUnavailable
    );
    if (!replica) return undefined;
    let use: ReplicaUse;
    try {
      use = await useReplica(replica, signal);
    } catch (error) {
      if (!signal.aborted) replica.lost(Loss.ofConnecting(error));
      return undefined;
    }
    const { link } = use;
    try {
      const stop = AbortSignal.any([signal, link.lost]);
      const session = await link.connection.expert.openSession(this.#config, stop);
      return { ...use, session };
    } catch (error) {
      use[Symbol.dispose]();
      const loss = Loss.of(error);
      if (loss && !signal.aborted) replica.lost(loss, link);
      return undefined;
    }
  }

  /** Ends a session that was given away, while work goes on elsewhere. */
  end(lease: Lease): void {
    lease[Symbol.dispose]();
    this.#pool.closeLater(lease.session);
  }
}
