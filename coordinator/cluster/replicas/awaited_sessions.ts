/**
 * Sessions that wait for their worker's answer, as the worker sees them. A stream can be dead while its connection and its
 * worker live: with one bit of HTTP/2's framing turned, a command or an answer is gone without a word, and nobody has an
 * error to tell. How long a range may take does not show it, least of all the first of its kind, which builds a graph. So
 * each heartbeat, which has a connection of its own, asks what the worker does for these sessions. One that computes, or
 * waits for a lane, may take as long as it likes. One that is quiet for longer than its tensors can be under way waits for
 * its client, while its client waits for it: something was lost.
 *
 * Nothing follows from a worker that says nothing of them: it is too old to be asked, or another one behind the same address.
 *
 * @module
 */

import { WorkerError } from "../../../shared/errors.ts";
import type { SessionProgress } from "../../../shared/wire/convert_status.ts";

export interface AwaitedSessionsOptions {
  /** HOST:PORT, for messages. */
  readonly worker: string;
  /** Longest silence of a session of which nothing is under way, ms. */
  readonly silenceMs: number;
  /** Between two questions, ms. */
  readonly intervalMs: number;
  /** How long so many bytes may be under way, ms. */
  readonly travelMs: (bytes: number) => number;
}

/** An answer that is waited for. */
export interface Awaited {
  /** What the worker calls the session. */
  readonly sessionId: string;
  /** Of tensors, both ways. */
  readonly bytes: number;
  /** What the longest silence is multiplied by. */
  readonly patience: number;
}

interface Waiting extends Awaited {
  readonly since: number;
  readonly lost: AbortController;
  /** Whether it would be lost, were it no other at the next question. */
  isSuspect: boolean;
}

/** The end of waiting, and what fires with a WorkerError if the answer does not come. */
export interface Wait extends Disposable {
  readonly lost: AbortSignal;
}

export class AwaitedSessions {
  readonly #options: AwaitedSessionsOptions;
  readonly #waiting = new Set<Waiting>();

  constructor(options: AwaitedSessionsOptions) {
    this.#options = options;
  }

  get ids(): string[] {
    return [...this.#waiting].map(({ sessionId }) => sessionId);
  }

  /** From now until disposal an answer is waited for. */
  await(awaited: Awaited): Wait {
    const lost = new AbortController();
    const waiting = { ...awaited, lost, since: performance.now(), isSuspect: false };
    this.#waiting.add(waiting);
    return {
      lost: lost.signal,
      [Symbol.dispose]: () => void this.#waiting.delete(waiting),
    };
  }

  /**
   * What the worker said. Two answers in a row must agree: when the first of them was given, command or result may have been
   * waiting behind it, in a process that had just been too busy to read.
   *
   * @param askedAt when it was asked, as `performance.now()`: who began to wait later was not meant
   */
  answered(progress: readonly SessionProgress[], askedAt: number): void {
    const { silenceMs, intervalMs, travelMs } = this.#options;
    // They may have one connection in common.
    const bytes = [...this.#waiting].reduce((sum, waiting) => sum + waiting.bytes, 0);
    const now = performance.now();
    for (const waiting of this.#waiting) {
      const said = progress.find(({ sessionId }) => sessionId === waiting.sessionId);
      if (!said || waiting.since > askedAt) continue;
      const silentMs = Math.min(said.quietSeconds * 1000, now - waiting.since);
      const longestMs = (silenceMs + travelMs(bytes)) * waiting.patience;
      if (waiting.isSuspect && silentMs >= longestMs) waiting.lost.abort(this.#error(silentMs));
      waiting.isSuspect = silentMs >= longestMs - intervalMs;
    }
  }

  #error(silentMs: number): WorkerError {
    const { worker } = this.#options;
    const seconds = (silentMs / 1000).toFixed(1);
    return new WorkerError(
      "UNAVAILABLE",
      `Worker ${worker} answers, but has had nothing to do for this session for ${seconds} s: ` +
        "a command or its answer was lost on the way",
      { details: { worker, state: "stalled" } },
    );
  }
}
