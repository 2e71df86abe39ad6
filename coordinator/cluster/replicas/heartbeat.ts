/**
 * Asks a worker again and again whether it is there, for as long as work is under way on it. A worker answers on a thread
 * that never computes, so silence means a frozen process or a dead link, never a long block.
 *
 * @module
 */

import { TuttiError, WorkerError } from "../../../shared/errors.ts";
import { delay } from "../delay.ts";

export interface HeartbeatOptions<Answer> {
  /** HOST:PORT, for messages. */
  readonly worker: string;
  readonly ask: (signal: AbortSignal) => Promise<Answer>;
  /** @throws {TuttiError} if the answer is not that of the worker that was asked before */
  readonly onAnswer: (answer: Answer, roundTripMs: number) => void;
  /** Called once, after which nothing is asked any more. */
  readonly onLost: (error: TuttiError) => void;
  readonly intervalMs: number;
  /** Longest silence, ms; asked for anew each time. */
  readonly patienceMs: () => number;
}

/** After a silence, what has come meanwhile is looked at once more, ms: this process may have been the busy one. */
const SECOND_LOOK_MS = 100;

export class Heartbeat<Answer> implements Disposable {
  readonly #options: HeartbeatOptions<Answer>;
  readonly #stop = new AbortController();

  constructor(options: HeartbeatOptions<Answer>) {
    this.#options = options;
    this.#run().catch((error) => {
      if (!this.#stop.signal.aborted) options.onLost(TuttiError.from(error));
    });
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #run(): Promise<never> {
    const { worker, ask, onAnswer, intervalMs, patienceMs } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      const asked = performance.now();
      const question = new AbortController();
      const both = AbortSignal.any([signal, question.signal]);
      try {
        // The silence began with the answer before.
        const longest = Math.max(patienceMs() - intervalMs, intervalMs);
        onAnswer(await inTime(ask(both), worker, longest), performance.now() - asked);
      } finally {
        question.abort();
      }
      await delay(intervalMs, signal);
    }
  }
}

/** @throws {WorkerError} UNAVAILABLE if an answer does not come, also where it had less time than that; and what becomes of it */
export async function inTime<T>(
  answer: Promise<T>,
  worker: string,
  patienceMs: number,
): Promise<T> {
  const over = new AbortController();
  const start = performance.now();
  const silent = (cause?: unknown) => {
    const ms = Math.round(performance.now() - start);
    return new WorkerError(
      "UNAVAILABLE",
      `Worker ${worker} was lost: it did not answer within ${ms} ms`,
      { details: { worker, state: "silent" }, cause },
    );
  };
  const silence = async () => {
    await delay(patienceMs, over.signal);
    await delay(SECOND_LOOK_MS, over.signal);
    throw silent();
  };
  try {
    return await Promise.race([answer, silence()]);
  } catch (error) {
    // To whoever asks that is no slow piece of work, but a worker that is not there.
    throw TuttiError.from(error).code === "DEADLINE_EXCEEDED" ? silent(error) : error;
  } finally {
    over.abort();
  }
}
