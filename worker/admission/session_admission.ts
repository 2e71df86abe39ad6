/**
 * The door to a worker's sessions. Where there is room a session is opened at once; else it waits, as long as its client
 * said and among no more than the limit, or is refused with an estimate of when to ask again.
 *
 * Jobs share the room fairly: the next is the oldest session of the job that has the fewest open. It is never passed by
 * one that needs less, so that large sessions get their room, too; only what its own job's limit holds back is passed.
 * A job that will have several sessions gets room for all of them with the first.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import type { WorkerLimits } from "../../shared/wire/limits.ts";
import { type Shortage, shortageError } from "./refusal.ts";
import type { AdmissionRequest, SessionRegistry } from "./session_registry.ts";
import type { SessionTicket } from "./session_ticket.ts";
import { whenFreeMs } from "./when_free.ts";

export interface AdmissionOptions {
  /** Longest wait; 0 is refused at once. */
  readonly waitMs: number;
  /** Fires when the client is gone. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly request: AdmissionRequest;
  resolve(ticket: SessionTicket): void;
  reject(error: TuttiError): void;
}

export class SessionAdmission {
  readonly #registry: SessionRegistry;
  readonly #limits: WorkerLimits;
  /** By arrival. */
  readonly #queue: Waiting[] = [];
  /** Why nobody is admitted any more. */
  #closed: TuttiError | undefined;

  constructor(registry: SessionRegistry, limits: WorkerLimits) {
    this.#registry = registry;
    this.#limits = limits;
    registry.onRelease(() => this.#serve());
  }

  /** Sessions that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Sets a session's bytes aside until its ticket's `release()`, as soon as there is room.
   *
   * @throws {TuttiError} RESOURCE_EXHAUSTED; CANCELLED; or what `close()` was given
   */
  async admit(
    request: AdmissionRequest,
    { waitMs, signal }: AdmissionOptions,
  ): Promise<SessionTicket> {
    if (this.#closed) throw this.#closed;
    const never = this.#registry.neverFits(request);
    if (never) throw shortageError(never);
    const { promise, resolve, reject } = Promise.withResolvers<SessionTicket>();
    const waiting = { request, resolve, reject };
    this.#queue.push(waiting);
    this.#serve();
    if (!this.#queue.includes(waiting)) return await promise;
    const { maxWaiting } = this.#limits;
    if (waitMs === 0 || maxWaiting === 0) this.#refuse(waiting);
    else if (this.#queue.length > maxWaiting) this.#refuse(waiting, "max_waiting");

    const onGone = () => this.#leave(waiting, cancelled());
    if (signal.aborted) onGone();
    signal.addEventListener("abort", onGone);
    // Whoever is silent for longer than the idle limit is taken to be gone, waiting or not.
    const longestMs = Math.min(waitMs, this.#limits.idleLimitSeconds * 1000);
    const timer = setTimeout(() => this.#refuse(waiting), longestMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onGone);
    }
  }

  /** Turns everyone away who waits or comes. */
  close(error: TuttiError): void {
    this.#closed = error;
    for (const waiting of [...this.#queue]) this.#leave(waiting, error);
  }

  /** Opens what there is room for. */
  #serve(): void {
    for (;;) {
      const next = this.#next();
      if (!next || this.#registry.shortage(next.request)) return;
      this.#queue.splice(this.#queue.indexOf(next), 1);
      next.resolve(this.#registry.admit(next.request));
    }
  }

  #next(): Waiting | undefined {
    const candidates = this.#queue
      .filter(({ request }) => !this.#registry.isJobFull(request))
      .map((waiting) => ({ waiting, rank: this.#rank(waiting.request) }));
    return candidates.reduce<typeof candidates[number] | undefined>(
      (best, candidate) => best && best.rank <= candidate.rank ? best : candidate,
      undefined,
    )?.waiting;
  }

  /** The lowest is next. */
  #rank({ job }: AdmissionRequest): number {
    return this.#registry.hasReserved(job) ? -1 : this.#registry.countOf(job);
  }

  #refuse(waiting: Waiting, limit?: "max_waiting"): void {
    const { request } = waiting;
    const ahead = this.#queue.slice(0, this.#queue.indexOf(waiting));
    const retryAfterMs = this.#roomInMs(request, ahead);
    const shortage = limit
      ? { limit, asked: 1, left: 0, unit: "places in the queue" }
      : this.#shortage(request);
    this.#leave(waiting, shortageError(shortage, retryAfterMs));
  }

  /** What a session lacks; one that would fit lacks what an earlier one waits for. */
  #shortage(request: AdmissionRequest): Shortage {
    return this.#registry.shortage(request) ?? this.#registry.shortage(this.#next()!.request)!;
  }

  /** Until those that wait before a session have their room, and it has its own. */
  #roomInMs(request: AdmissionRequest, ahead: readonly Waiting[]): number {
    const { left, tickets } = this.#registry;
    const endings = tickets.map(({ arenaBytes, remainingMs, job }) => ({
      bytes: arenaBytes,
      remainingMs,
      job,
    }));
    const needs = [...ahead.map((waiting) => waiting.request), request]
      .map((each) => this.#registry.needOf(each));
    const forAllMs = whenFreeMs(endings, {
      sessions: needs.reduce((sum, { sessions }) => sum + sessions, -left.sessions),
      bytes: needs.reduce((sum, { bytes }) => sum + bytes, -left.bytes),
    });
    const ofJob = endings.filter(({ job }) => job === request.job);
    const forJobMs = whenFreeMs(ofJob, {
      sessions: ofJob.length + needs.at(-1)!.sessions - this.#limits.maxSessionsPerJob,
      bytes: 0,
    });
    return Math.max(forAllMs, forJobMs);
  }

  /** One that has left or was served already hears nothing. */
  #leave(waiting: Waiting, error: TuttiError): void {
    const index = this.#queue.indexOf(waiting);
    if (index < 0) return;
    this.#queue.splice(index, 1);
    waiting.reject(error);
    // It may have stood before others that there is room for.
    this.#serve();
  }
}

function cancelled(): TuttiError {
  return new TuttiError("CANCELLED", "The client went while its session waited to be opened");
}
