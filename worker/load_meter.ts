/**
 * Counts what a worker computes now. The lanes themselves stand behind the expert, so busy lanes and queue follow
 * from the calls that it has been given and not answered.
 *
 * @module
 */

import { TuttiError } from "../shared/errors.ts";
import { retryAfter } from "./admission/refusal.ts";

/** What a call counts in the running mean of their times: the last five or so decide it. */
const MEAN_WEIGHT = 0.2;

export class LoadMeter {
  readonly lanes: number;
  readonly #maxCalls: number;
  readonly #now: () => number;
  /** When each single call that runs began; the oldest first. */
  readonly #calls = new Set<{ readonly startedAt: number }>();
  #sessionCommands = 0;
  /** Of the single calls that have ended. */
  #meanCallMs: number | undefined;

  /** @param now milliseconds, monotonic; tests pass their own */
  constructor(lanes: number, maxCalls: number, now: () => number = () => performance.now()) {
    this.lanes = lanes;
    this.#maxCalls = maxCalls;
    this.#now = now;
  }

  get busyLanes(): number {
    return Math.min(this.lanes, this.#calls.size + this.#sessionCommands);
  }

  get queueDepth(): number {
    return Math.max(0, this.#calls.size + this.#sessionCommands - this.lanes);
  }

  /**
   * Runs a single call.
   *
   * @throws {TuttiError} RESOURCE_EXHAUSTED if too many wait already
   */
  async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#calls.size >= this.#maxCalls) {
      throw new TuttiError(
        "RESOURCE_EXHAUSTED",
        `The worker takes ${this.#maxCalls} calls at a time and has them: ` +
          "try again when some have finished",
        {
          details: { limit: "max_calls", asked: "1", left: "0", ...retryAfter(this.#nextEndMs()) },
        },
      );
    }
    const call = { startedAt: this.#now() };
    this.#calls.add(call);
    try {
      return await work();
    } finally {
      this.#calls.delete(call);
      const ms = this.#now() - call.startedAt;
      const mean = this.#meanCallMs ?? ms;
      this.#meanCallMs = mean + MEAN_WEIGHT * (ms - mean);
    }
  }

  /**
   * Of so many calls that take the mean time, one ends in each part of it (Little's law). Before any has ended, the oldest
   * is taken to be half-way.
   */
  #nextEndMs(): number {
    const [oldest] = this.#calls;
    const meanMs = this.#meanCallMs ?? 2 * (this.#now() - oldest!.startedAt);
    return meanMs / this.#calls.size;
  }

  /** Runs a session's command; admission bounded those already. */
  async sessionCommand<T>(work: () => Promise<T>): Promise<T> {
    this.#sessionCommands++;
    try {
      return await work();
    } finally {
      this.#sessionCommands--;
    }
  }
}
