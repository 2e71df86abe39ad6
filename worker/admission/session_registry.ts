/**
 * Which sessions are open, and whether another one may be: at most so many, of one job at most so many, and at most so
 * many bytes, each and together. What is short is told with what was asked and what is left.
 *
 * @module
 */

import type { SessionProgress, SessionSummary } from "../../shared/wire/convert_status.ts";
import type { WorkerLimits } from "../../shared/wire/limits.ts";
import type { SessionSize } from "../session_bytes.ts";
import { type Shortage, shortageError } from "./refusal.ts";
import { SessionTicket } from "./session_ticket.ts";
import type { Room } from "./when_free.ts";

export interface AdmissionRequest extends SessionSize {
  /** Address of the client. */
  readonly peer: string;
  /** Whose session it is; jobs share the worker's room. */
  readonly job: string;
  /** What the session will hold. */
  readonly arenaBytes: number;
  /** Sessions that the job will have here, this one included. @default 1 */
  readonly jobSessions?: number;
}

export class SessionRegistry {
  readonly #limits: WorkerLimits;
  readonly #now: () => number;
  readonly #open = new Map<string, SessionTicket>();
  /** What jobs have set aside for sessions that they have not opened yet. */
  readonly #reserved = new Map<string, Room>();
  readonly #onRelease = new Set<() => void>();
  #usedBytes = 0;
  #count = 0;

  /** @param now milliseconds, monotonic; tests pass their own */
  constructor(limits: WorkerLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#open.size;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get leftBytes(): number {
    return this.left.bytes;
  }

  /** For sessions of jobs that have set nothing aside. */
  get left(): Room {
    const { maxSessions, arenaBytes } = this.#limits;
    const reserved = [...this.#reserved.values()];
    return {
      sessions: reserved.reduce((left, { sessions }) => left - sessions, maxSessions - this.size),
      bytes: reserved.reduce((left, { bytes }) => left - bytes, arenaBytes - this.#usedBytes),
    };
  }

  /** The oldest first. */
  get tickets(): readonly SessionTicket[] {
    return [...this.#open.values()];
  }

  /** Open sessions of a job. */
  countOf(job: string): number {
    return this.tickets.filter((ticket) => ticket.job === job).length;
  }

  hasReserved(job: string): boolean {
    return this.#reserved.has(job);
  }

  /** What a session takes of what is left: with the first of a job, what the others of it will need. */
  needOf({ job, arenaBytes, jobSessions = 1 }: AdmissionRequest): Room {
    const reserved = this.#reserved.get(job);
    return reserved
      ? { sessions: 0, bytes: Math.max(0, arenaBytes - reserved.bytes) }
      : { sessions: jobSessions, bytes: jobSessions * arenaBytes };
  }

  /** What a session would not find even on an empty worker. */
  neverFits({ arenaBytes, jobSessions = 1 }: AdmissionRequest): Shortage | undefined {
    const { sessionBytes, arenaBytes: allBytes, maxSessions, maxSessionsPerJob } = this.#limits;
    const mostBytes = Math.min(sessionBytes, Math.floor(allBytes / jobSessions));
    if (arenaBytes > mostBytes) {
      const unit = "bytes for one session";
      return { limit: "session_bytes", asked: arenaBytes, left: mostBytes, unit };
    }
    const most = Math.min(maxSessions, maxSessionsPerJob);
    if (jobSessions > most) {
      const unit = "sessions of one job";
      return { limit: "max_sessions_per_job", asked: jobSessions, left: most, unit };
    }
    return undefined;
  }

  /** What a session would not find now. */
  shortage(request: AdmissionRequest): Shortage | undefined {
    const { sessions, bytes } = this.needOf(request);
    const { left } = this;
    if (sessions > left.sessions) {
      return { limit: "max_sessions", asked: sessions, left: left.sessions, unit: "sessions" };
    }
    if (this.isJobFull(request)) {
      const jobLeft = this.#limits.maxSessionsPerJob - this.countOf(request.job);
      const unit = "sessions of this job";
      return { limit: "max_sessions_per_job", asked: sessions, left: jobLeft, unit };
    }
    if (bytes > left.bytes) {
      const unit = "bytes for all sessions";
      return { limit: "arena_bytes", asked: bytes, left: left.bytes, unit };
    }
    return undefined;
  }

  /** Whether a session must wait for others of its own job to end. */
  isJobFull(request: AdmissionRequest): boolean {
    const { sessions } = this.needOf(request);
    return this.countOf(request.job) + sessions > this.#limits.maxSessionsPerJob;
  }

  /**
   * Sets a session's bytes aside until `release()`.
   *
   * @throws {TuttiError} RESOURCE_EXHAUSTED
   */
  admit(request: AdmissionRequest): SessionTicket {
    const shortage = this.neverFits(request) ?? this.shortage(request);
    if (shortage) throw shortageError(shortage);
    const { job, arenaBytes } = request;
    this.#reserve(request);
    // Whoever asks another worker about it, behind one address for both, shall get no answer about a stranger's.
    const id = `s${++this.#count}-${crypto.randomUUID().slice(0, 8)}`;
    const ticket = new SessionTicket(id, request, this.#now, () => {
      if (!this.#open.delete(id)) return;
      this.#usedBytes -= arenaBytes;
      // A job whose sessions have all ended opens none that it announced.
      if (this.countOf(job) === 0) this.#reserved.delete(job);
      for (const listener of [...this.#onRelease]) listener();
    });
    this.#open.set(id, ticket);
    this.#usedBytes += arenaBytes;
    return ticket;
  }

  /** Sets aside what the job's other sessions will need, or takes of it what this one needs. */
  #reserve({ job, arenaBytes, jobSessions = 1 }: AdmissionRequest): void {
    const reserved = this.#reserved.get(job) ??
      { sessions: jobSessions, bytes: jobSessions * arenaBytes };
    const sessions = reserved.sessions - 1;
    if (sessions === 0) this.#reserved.delete(job);
    else this.#reserved.set(job, { sessions, bytes: Math.max(0, reserved.bytes - arenaBytes) });
  }

  /** @returns what ends it */
  onRelease(listener: () => void): () => void {
    this.#onRelease.add(listener);
    return () => this.#onRelease.delete(listener);
  }

  /** Settles when no session is open. */
  async empty(): Promise<void> {
    while (this.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = this.onRelease(resolve);
      await promise;
      end();
    }
  }

  /** @param ids of sessions; others than open ones are passed over */
  progress(ids: readonly string[]): SessionProgress[] {
    return ids.flatMap((id) => this.#open.get(id)?.progress() ?? []);
  }

  list(): SessionSummary[] {
    return this.tickets.map((ticket) => ticket.summary());
  }
}
