/**
 * Messages of a gRPC stream that have come and wait to be taken. Reading pauses while more than one waits, so a fast peer
 * never makes this process queue; an answer that is waited for comes without a pause, which would cost it a millisecond.
 *
 * @module
 */

import type { Message } from "./fields.ts";

/** One end of a stream, as far as reading goes. */
export interface MessageSource {
  on(event: "data", listener: (message: Message) => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

const MOST_WAITING = 2;

export class Inbox {
  readonly #source: MessageSource;
  readonly #waiting: Message[] = [];
  #isPaused = false;
  #wake: () => void = () => {};

  constructor(source: MessageSource) {
    this.#source = source;
    source.on("data", (message) => {
      this.#waiting.push(message);
      if (this.#waiting.length >= MOST_WAITING) {
        this.#isPaused = true;
        source.pause();
      }
      this.#wake();
    });
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The oldest message, if there is one. */
  take(): Message | undefined {
    const message = this.#waiting.shift();
    if (this.#isPaused && this.isEmpty) {
      this.#isPaused = false;
      this.#source.resume();
    }
    return message;
  }

  /** Calls back when a message comes; a later callback replaces it. */
  onArrival(callback: () => void): void {
    this.#wake = callback;
  }

  /** Calls back now, for another reason than a message. */
  wake(): void {
    this.#wake();
  }
}
