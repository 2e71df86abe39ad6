/**
 * Progress of a job for a person who waits: a bar that redraws itself on a terminal, a line every few
 * seconds in a log, nothing when the output is for a program.
 *
 * @module
 */

import { oneLine } from "./display_width.ts";
import { type BarState, renderBar, renderLine } from "./render_bar.ts";
import type { Terminal } from "./terminal.ts";

export interface ProgressOptions {
  readonly label: string;
  /** Number of steps; `update` counts towards it. */
  readonly total: number;
  readonly terminal: Terminal;
  /** Milliseconds of a clock that never runs backwards: `() => performance.now()`. */
  readonly now: () => number;
  /** Prints nothing at all: `--json`, `--quiet`. */
  readonly isSilent?: boolean;
}

/** Redraws beyond this rate are only flicker. */
const REDRAW_MS = 50;
const LINE_MS = 5_000;
/** Weight of the newest step in the pace: the first step (sessions are created in it) fades out fast. */
const NEWEST_WEIGHT = 0.3;

/**
 * Draws from its creation until `stop()`. It holds no timer: it draws when told of progress, or that time has passed.
 *
 * @example
 * ```ts
 * using progress = new Progress({ label: "Sampling", total: 50, terminal, now });
 * for (let step = 1; step <= 50; step++) progress.update(step);
 * ```
 */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #startMs: number;
  #label: string;
  #done = 0;
  #doneMs: number;
  #paceMs: number | undefined;
  #drawnMs = -Infinity;
  #drawnDone = -1;
  /** The bar on the screen. */
  #bar = "";
  #isStopped = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#label = options.label;
    this.#startMs = this.#doneMs = options.now();
    this.#draw(this.#startMs);
  }

  /** Tells that `done` steps are finished, and optionally what happens now. */
  update(done: number, label: string = this.#label): void {
    const nowMs = this.#options.now();
    if (done > this.#done) {
      const stepMs = (nowMs - this.#doneMs) / (done - this.#done);
      this.#paceMs = this.#paceMs === undefined
        ? stepMs
        : this.#paceMs + NEWEST_WEIGHT * (stepMs - this.#paceMs);
      this.#doneMs = nowMs;
    }
    this.#done = done;
    this.#label = label;
    const interval = this.#options.terminal.isInteractive ? REDRAW_MS : LINE_MS;
    const isLast = done >= this.#options.total && done !== this.#drawnDone;
    if (isLast || nowMs - this.#drawnMs >= interval) this.#draw(nowMs);
  }

  /** Time has passed, and nothing is finished: a clock goes on, a log has a line where there is something new to say. */
  tick(label: string): void {
    const isNews = label !== this.#label;
    if (isNews || this.#options.terminal.isInteractive) this.update(this.#done, label);
  }

  /** Prints a line of its own, above the bar. */
  note(text: string): void {
    const { isSilent, terminal } = this.#options;
    if (isSilent) return;
    const isBar = terminal.isInteractive && !this.#isStopped;
    terminal.write(`${isBar ? "\r\x1b[K" : ""}${oneLine(text)}\n${isBar ? this.#bar : ""}`);
  }

  /** Draws the last state once more and leaves the bar; whatever comes after starts on a new line. */
  stop(): void {
    if (this.#isStopped) return;
    if (this.#done !== this.#drawnDone) this.#draw(this.#options.now());
    this.#isStopped = true;
    if (!this.#options.isSilent && this.#options.terminal.isInteractive) {
      this.#options.terminal.write("\n");
    }
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #draw(nowMs: number): void {
    const { terminal, total, isSilent } = this.#options;
    if (isSilent || this.#isStopped) return;
    const state: BarState = {
      done: this.#done,
      total,
      elapsedMs: nowMs - this.#startMs,
      label: this.#label,
      columns: terminal.columns(),
      colour: terminal.hasColour,
      ...(this.#paceMs === undefined ? {} : {
        remainingMs: Math.max(0, this.#paceMs * (total - this.#done) - (nowMs - this.#doneMs)),
      }),
    };
    this.#drawnMs = nowMs;
    this.#drawnDone = this.#done;
    if (terminal.isInteractive) {
      this.#bar = renderBar(state);
      terminal.write(`\r${this.#bar}\x1b[K`);
      return;
    }
    terminal.write(`${renderLine(state)}\n`);
  }
}
