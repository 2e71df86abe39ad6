/**
 * How long the text encoders stay in memory. A prompt needs them once, before hundreds of block calls, and in f32 they hold
 * 0.5 GB (SD1.5) or 3.3 GB (SDXL); loading them anew takes seconds. So they leave when a block's weights have to be
 * loaded, which is when memory runs short, and when no prompt has come for a while: not after each, because a server that
 * hears one a second would load them a thousand times.
 *
 * @module
 */

import type { GraphRunner } from "./graph_runner.ts";

/** A CPU takes longer for an image of a full-size model; whoever asks for images faster than this pays nothing. */
export const DEFAULT_TEXT_IDLE_SECONDS = 30;

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class TextResidency implements Disposable {
  readonly #runner: GraphRunner;
  readonly #isText: (graph: string) => boolean;
  readonly #idleMs: number;
  #calls = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** @param isText which graphs, by name, are text encoders': all others stay */
  constructor(runner: GraphRunner, isText: (graph: string) => boolean, idleSeconds: number) {
    this.#runner = runner;
    this.#isText = isText;
    this.#idleMs = Math.min(idleSeconds * 1000, MAX_TIMER_MS);
  }

  /** Runs a call of text encoders; they stay loaded as long as any call runs. */
  async use<T>(call: () => Promise<T>): Promise<T> {
    this.#calls++;
    clearTimeout(this.#timer);
    try {
      return await call();
    } finally {
      this.#calls--;
      if (this.#calls === 0 && !this.#isClosed) {
        const timer = setTimeout(() => this.release(), this.#idleMs);
        Deno.unrefTimer(timer);
        this.#timer = timer;
      }
    }
  }

  /** Ends the text encoders' graphs, unless a call uses them. The next call loads them. */
  release(): void {
    if (this.#calls > 0) return;
    clearTimeout(this.#timer);
    // Only a lane that is closed refuses, and it holds nothing any more.
    this.#runner.releaseGraphs(this.#isText).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
