/** An admitted session: what it holds, how far it is, and when it may be expected to end. @module */

import type { SessionProgress, SessionSummary } from "../../shared/wire/convert_status.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import type { AdmissionRequest } from "./session_registry.ts";

export class SessionTicket {
  readonly id: string;
  readonly #request: AdmissionRequest;
  readonly #now: () => number;
  readonly #openedAt: number;
  #stepIndex = 0;
  #idleSince: number | undefined;
  #lastMoveAt: number;
  #isComputing = false;
  /** How the session's feature maps travel. */
  plane: PlaneKind | undefined;
  /** Gives the bytes back; harmless when repeated. */
  readonly release: () => void;

  constructor(id: string, request: AdmissionRequest, now: () => number, release: () => void) {
    this.id = id;
    this.#request = request;
    this.#now = now;
    this.#openedAt = now();
    this.#idleSince = this.#lastMoveAt = this.#openedAt;
    this.release = release;
  }

  get arenaBytes(): number {
    return this.#request.arenaBytes;
  }

  get job(): string {
    return this.#request.job;
  }

  /**
   * An estimate: each step that is left takes as long as those before took on average. The first step, of which nothing
   * is known yet, is taken to end now.
   */
  get remainingMs(): number {
    const stepsDone = Math.max(1, this.#stepIndex);
    const stepsLeft = Math.max(0, this.#request.timesteps - stepsDone);
    return (this.#now() - this.#openedAt) / stepsDone * stepsLeft;
  }

  commandBegan(stepIndex: number): void {
    this.#stepIndex = stepIndex;
    this.#idleSince = undefined;
  }

  commandEnded(): void {
    this.#idleSince = this.#now();
  }

  /** Something of the session came or went. */
  moved(): void {
    this.#lastMoveAt = this.#now();
  }

  /** Runs what the session computes, the wait for a lane included. */
  async computing<T>(work: () => Promise<T>): Promise<T> {
    this.#isComputing = true;
    try {
      return await work();
    } finally {
      this.#isComputing = false;
      this.moved();
    }
  }

  progress(): SessionProgress {
    const quietMs = this.#isComputing ? 0 : this.#now() - this.#lastMoveAt;
    return { sessionId: this.id, quietSeconds: quietMs / 1000 };
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
