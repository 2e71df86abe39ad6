/**
 * One piece of work in search of a replica: tries them until one does it, and waits for one to come back when none is left.
 * It ends, for the time that it waits counts from its first loss.
 *
 * @module
 */

import { throwIfAborted, type TuttiError, WorkerError } from "../../../shared/errors.ts";
import { Loss } from "./loss.ts";
import type { Link, Replica } from "./replica.ts";
import type { Place } from "./replica_events.ts";
import { type ReplicaPool, untilAborted } from "./replica_pool.ts";
import { type ReplicaUse, useReplica } from "./replica_use.ts";

export interface ReplicaSearchOptions {
  /** For events and errors. */
  readonly place?: Place;
  /**
   * Whether to wait for room on full workers: work that has begun does, other work is refused, for its owner has a say in how
   * long it waits. @default false
   */
  readonly waitsForRoom?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class ReplicaSearch {
  readonly #pool: ReplicaPool;
  readonly #options: ReplicaSearchOptions;
  /** Those of which nothing else is to be expected: asked again they would fail in the same way. */
  readonly #hopeless = new Set<Replica>();
  readonly #lost = new Set<Replica>();
  #firstLossAt: number | undefined;
  #last: Loss | undefined;
  #parkedAt: number | undefined;
  #deadlines = 0;

  constructor(pool: ReplicaPool, options: ReplicaSearchOptions = {}) {
    this.#pool = pool;
    this.#options = options;
  }

  /** What deadlines are multiplied by: work that ran out of time, or got lost, twice may simply take long. */
  get patience(): number {
    return 2 ** this.#deadlines;
  }

  /** The work on a replica failed, and another one shall do it. */
  lost({ replica, link }: Omit<ReplicaUse, keyof Disposable>, loss: Loss, detectMs: number): void {
    this.#remember(replica, loss, link);
    const { reason, error: { message } } = loss;
    const { place } = this.#options;
    this.#pool.emit({
      ...{ kind: "lost", expert: this.#pool.name, worker: replica.address, ...place },
      ...{ reason, message, detectMs },
    });
  }

  /**
   * The best replica that answers, in use from now on.
   *
   * @param asksAll whether all are asked first how busy they are
   * @throws {TuttiError} CANCELLED, or what ended the search: the last loss if nothing waits, else UNAVAILABLE naming the expert
   */
  async next({ asksAll = false } = {}): Promise<ReplicaUse> {
    const { signal } = this.#options;
    if (asksAll) await untilAborted(this.#pool.refresh(), signal);
    for (;;) {
      throwIfAborted(this.#pool.closed);
      for (const replica of this.#candidates()) {
        throwIfAborted(signal);
        if (performance.now() < replica.retryAt) continue;
        try {
          const use = await useReplica(replica, signal);
          this.#unpark(replica);
          return use;
        } catch (error) {
          if (signal?.aborted) throw error;
          this.#remember(replica, Loss.ofConnecting(error));
        }
      }
      await this.#park();
    }
  }

  /** Without those of which nothing else is to be expected, and once the time is over without those that were tried. */
  #candidates(): Replica[] {
    const candidates = this.#pool.candidates().filter((replica) => !this.#hopeless.has(replica));
    return this.#leftMs() > 0 ? candidates : candidates.filter((one) => !this.#lost.has(one));
  }

  #remember(replica: Replica, loss: Loss, link?: Link): void {
    replica.lost(loss, link);
    this.#lost.add(replica);
    const isFull = loss.reason === "full" && !this.#options.waitsForRoom;
    if (loss.reason === "broken" || isFull) this.#hopeless.add(replica);
    if (loss.reason === "deadline" || loss.reason === "stalled") this.#deadlines++;
    this.#firstLossAt ??= performance.now();
    this.#last = loss;
  }

  /** Waits until it makes sense to try again. */
  async #park(): Promise<void> {
    const { name, parkMs, settings: { retryMs, maxRetryMs } } = this.#pool;
    const now = performance.now();
    this.#firstLossAt ??= now;
    const candidates = this.#pool.candidates().filter((replica) => !this.#hopeless.has(replica));
    // Those that are left would all fail in the same way.
    const isHopeless = candidates.length === 0 && this.#hopeless.size > 0;
    const leftMs = this.#leftMs();
    if (leftMs <= 0 || isHopeless) throw this.#gaveUp();
    if (this.#parkedAt === undefined) {
      this.#parkedAt = now;
      const message = this.#last?.error.message ?? "no worker is known";
      this.#pool.emit({ kind: "parked", expert: name, parkMs, message });
    }
    const nextAt = Math.min(...candidates.map(({ retryAt }) => retryAt));
    const waitMs = Math.min(Math.max(nextAt - now, retryMs), maxRetryMs, leftMs);
    await this.#pool.change(waitMs, this.#options.signal);
  }

  #unpark(replica: Replica): void {
    if (this.#parkedAt === undefined) return;
    const waitedMs = performance.now() - this.#parkedAt;
    this.#parkedAt = undefined;
    const { name: expert } = this.#pool;
    this.#pool.emit({ kind: "unparked", expert, worker: replica.address, waitedMs });
  }

  #leftMs(): number {
    const { parkMs } = this.#pool;
    if (this.#firstLossAt === undefined) return Infinity;
    return this.#firstLossAt + parkMs - performance.now();
  }

  #gaveUp(): TuttiError {
    const { name, parkMs, modelHash } = this.#pool;
    // One that has no room is there, although it was not asked again so soon.
    const full = this.#pool.candidates().find(({ refusal }) => refusal)?.refusal;
    const last = (this.#last ?? full)?.error;
    // Who does not wait wants to know what happened; so does who asked for something that fails everywhere.
    if (last && (parkMs === 0 || this.#hopeless.size > 0)) return last;
    const seconds = parkMs / 1000;
    const reason = last ? `: ${last.message}` : "";
    const options = {
      cause: last,
      details: {
        ...last?.details,
        expert: name,
        model_hash: modelHash,
        waited_ms: String(parkMs),
      },
    };
    return new WorkerError(
      "UNAVAILABLE",
      `No worker serves expert "${name}" (model ${
        modelHash.slice(0, 12)
      }) any more, and none came back within ${seconds} s${reason}`,
      options,
    );
  }
}
