/**
 * Which sessions are open, and whether another one may be: at most so many, and at most so many bytes,
 * each and together. A refusal says what was asked and what is left.
 *
 * @module
 */

import { TuttiError } from "../shared/errors.ts";
import type { SessionSummary } from "../shared/wire/convert_status.ts";
import type { WorkerLimits } from "../shared/wire/limits.ts";
import type { PlaneKind } from "../shared/wire/plane/plane_kind.ts";
import type { SessionSize } from "./session_bytes.ts";

export interface AdmissionRequest extends SessionSize {
  /** Address of the client. */
  readonly peer: string;
  /** What the session will hold. */
  readonly arenaBytes: number;
}

export class SessionRegistry {
  readonly #limits: WorkerLimits;
  readonly #now: () => number;
  readonly #open = new Map<string, SessionTicket>();
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
    return this.#limits.arenaBytes - this.#usedBytes;
  }

  /**
   * Sets a session's bytes aside until `release()`.
   *
   * @throws {TuttiError} RESOURCE_EXHAUSTED
   */
  admit(request: AdmissionRequest): SessionTicket {
    const { arenaBytes } = request;
    const { maxSessions, sessionBytes } = this.#limits;
    if (arenaBytes > sessionBytes) {
      throw exhausted("session_bytes", arenaBytes, sessionBytes, "bytes for one session");
    }
    if (this.#open.size >= maxSessions) {
      throw exhausted("max_sessions", 1, maxSessions - this.#open.size, "sessions");
    }
    if (arenaBytes > this.leftBytes) {
      throw exhausted("arena_bytes", arenaBytes, this.leftBytes, "bytes for all sessions");
    }
    const id = `s${++this.#count}`;
    const ticket = new SessionTicket(id, request, this.#now, () => {
      if (this.#open.delete(id)) this.#usedBytes -= arenaBytes;
    });
    this.#open.set(id, ticket);
    this.#usedBytes += arenaBytes;
    return ticket;
  }

  /** The oldest first. */
  list(): SessionSummary[] {
    return [...this.#open.values()].map((ticket) => ticket.summary());
  }
}

/** An admitted session. */
export class SessionTicket {
  readonly id: string;
  readonly #request: AdmissionRequest;
  readonly #now: () => number;
  readonly #openedAt: number;
  #stepIndex = 0;
  #idleSince: number | undefined;
  /** How the session's feature maps travel. */
  plane: PlaneKind | undefined;
  /** Gives the bytes back; harmless when repeated. */
  readonly release: () => void;

  constructor(id: string, request: AdmissionRequest, now: () => number, release: () => void) {
    this.id = id;
    this.#request = request;
    this.#now = now;
    this.#openedAt = now();
    this.#idleSince = this.#openedAt;
    this.release = release;
  }

  get arenaBytes(): number {
    return this.#request.arenaBytes;
  }

  commandBegan(stepIndex: number): void {
    this.#stepIndex = stepIndex;
    this.#idleSince = undefined;
  }

  commandEnded(): void {
    this.#idleSince = this.#now();
  }

  summary(): SessionSummary {
    const { peer, batch, height, width, timesteps, arenaBytes } = this.#request;
    const now = this.#now();
    return {
      sessionId: this.id,
      peer,
      batch,
      height,
      width,
      timesteps,
      stepIndex: this.#stepIndex,
      arenaBytes,
      ageSeconds: (now - this.#openedAt) / 1000,
      idleSeconds: this.#idleSince === undefined ? 0 : (now - this.#idleSince) / 1000,
      plane: this.plane,
    };
  }
}

function exhausted(limit: string, asked: number, left: number, unit: string): TuttiError {
  return new TuttiError(
    "RESOURCE_EXHAUSTED",
    `The worker has no room for this session: ${asked} ${unit} were asked for, ${left} are left`,
    { details: { limit, asked: String(asked), left: String(left) } },
  );
}
