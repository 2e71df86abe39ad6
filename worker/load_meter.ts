/**
 * Counts what a worker computes now. The lanes themselves stand behind the expert, so busy lanes and queue follow
 * from the calls that it has been given and not answered.
 *
 * @module
 */

import { TuttiError } from "../shared/errors.ts";

export class LoadMeter {
  readonly lanes: number;
  readonly #maxCalls: number;
  #calls = 0;
  #sessionCommands = 0;

  constructor(lanes: number, maxCalls: number) {
    this.lanes = lanes;
    this.#maxCalls = maxCalls;
  }

  get busyLanes(): number {
    return Math.min(this.lanes, this.#calls + this.#sessionCommands);
  }

  get queueDepth(): number {
    return Math.max(0, this.#calls + this.#sessionCommands - this.lanes);
  }

  /**
   * Runs a single call.
   *
   * @throws {TuttiError} RESOURCE_EXHAUSTED if too many wait already
   */
  async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#calls >= this.#maxCalls) {
      throw new TuttiError(
        "RESOURCE_EXHAUSTED",
        `The worker takes ${this.#maxCalls} calls at a time and has them: ` +
          "try again when some have finished",
        { details: { limit: "max_calls", asked: "1", left: "0" } },
      );
    }
    this.#calls++;
    try {
      return await work();
    } finally {
      this.#calls--;
    }
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
