/** How many jobs may wait: so many in all, and half of them of one client, so that nobody fills the queue alone. @module */

import { TuttiError } from "../../../shared/errors.ts";

export const DEFAULT_QUEUE_LIMIT = 200;

/** Before a job has been timed, and the longest that a client is told to wait, s. */
const FIRST_RETRY_S = 5, LONGEST_RETRY_S = 600;

/** Jobs that wait already. */
export interface Waiting {
  readonly size: number;
  sizeOf(client: string): number;
}

export class QueueLimit {
  /** Clients of jobs that are being kept, and wait then. */
  readonly #coming: string[] = [];
  readonly #limit: number;
  #lastSeconds = FIRST_RETRY_S;

  constructor(limit: number = DEFAULT_QUEUE_LIMIT) {
    this.#limit = limit;
  }

  /** Told how long a job took: about as long until there is room for one more. */
  timed(seconds: number): void {
    this.#lastSeconds = seconds;
  }

  /**
   * @returns holds the place until the job is among those that wait
   * @throws {TuttiError} RESOURCE_EXHAUSTED with `retry_after_ms`
   */
  admit(client: string, waiting: Waiting): Disposable {
    const own = waiting.sizeOf(client) + this.#coming.filter((each) => each === client).length;
    const all = waiting.size + this.#coming.length;
    const ownLimit = Math.ceil(this.#limit / 2);
    if (all >= this.#limit) throw this.#full(`${this.#limit} jobs wait already`);
    if (own >= ownLimit) throw this.#full(`${ownLimit} jobs of this client wait already`);
    this.#coming.push(client);
    return { [Symbol.dispose]: () => void this.#coming.splice(this.#coming.indexOf(client), 1) };
  }

  #full(reason: string): TuttiError {
    const seconds = Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(this.#lastSeconds)));
    return new TuttiError(
      "RESOURCE_EXHAUSTED",
      `The queue is full: ${reason}. Come again in ${seconds} s`,
      { details: { retry_after_ms: String(seconds * 1000) } },
    );
  }
}
