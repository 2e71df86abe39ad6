/**
 * Asks again where a worker has no room now: after 25 ms, then twice as long each time up to half a second, or when the
 * worker expects to have room, until the patience is used up. Other errors are not for here.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import { delay } from "./delay.ts";

/** The first pause, and the longest, ms: short beside a step, and few questions a second to a worker that is full. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 500;

export interface PatienceOptions {
  /** Of all waits together; 0 takes the first refusal. */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Told of each refusal before it is waited for. */
  readonly onRefusal?: ((refusal: TuttiError) => void) | undefined;
  /** Milliseconds, monotonic; tests pass their own, like the next two. */
  readonly now?: () => number;
  /** In 0..1. */
  readonly random?: () => number;
  readonly pause?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** How long one run still waits for room, wherever it asks. */
export class Patience {
  readonly #options: PatienceOptions;
  readonly #now: () => number;
  readonly #end: number;

  /** It begins to run out. */
  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#end = this.#now() + options.waitMs;
  }

  /** Ends the waiting. */
  get signal(): AbortSignal | undefined {
    return this.#options.signal;
  }

  /** Milliseconds. */
  get left(): number {
    return Math.max(0, Math.floor(this.#end - this.#now()));
  }

  /**
   * Attempts until it works, with one last attempt at the end of the patience.
   *
   * @param attempt must leave nothing behind when it fails: whoever waits for room must not hold any
   * @param isQueueing whether the attempts that follow the first one wait where there is no room: they need not begin
   * later, which would put them behind others
   * @throws {TuttiError} the last refusal; CANCELLED; or what else an attempt throws
   */
  async untilAdmitted<T>(
    attempt: () => Promise<T>,
    { isQueueing = false }: { readonly isQueueing?: boolean } = {},
  ): Promise<T> {
    const { signal, random = Math.random, pause = delay, onRefusal } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        return await attempt();
      } catch (error) {
        const retryAfterMs = retryAfter(error);
        if (retryAfterMs === undefined || this.left === 0) throw error;
        onRefusal?.(error as TuttiError);
        // Half of it at random, so that those who were refused together do not come back together.
        const jittered = pauseMs * (0.5 + 0.5 * random());
        const pauseFor = isQueueing ? jittered : Math.max(jittered, retryAfterMs);
        await pause(Math.min(this.left, pauseFor), signal);
      }
    }
  }
}

/** Milliseconds until a refused request may be repeated; undefined if it is not a refusal, or one for ever. */
export function retryAfter(error: unknown): number | undefined {
  if (!(error instanceof TuttiError) || error.code !== "RESOURCE_EXHAUSTED") return undefined;
  const text = error.details.retry_after_ms;
  const ms = Number(text);
  return text !== undefined && Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}
