/** A progress bar that counts megabytes. @module */

import { Progress } from "../../shared/terminal/progress.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";

const BYTES_PER_MB = 1_000_000;
/** Share of the whole that is told at a time: from smaller ones no pace can be read. */
const STEP = 0.02;

export class ByteProgress implements Disposable {
  readonly #progress: Progress;
  readonly #totalBytes: number;
  #toldBytes = 0;

  constructor(label: string, totalBytes: number, isSilent: boolean) {
    this.#totalBytes = totalBytes;
    this.#progress = new Progress({
      label: `${label} (MB)`,
      total: Math.floor(totalBytes / BYTES_PER_MB),
      terminal: stderrTerminal(),
      now: () => performance.now(),
      isSilent,
    });
  }

  update(doneBytes: number): void {
    const isLast = doneBytes >= this.#totalBytes;
    if (!isLast && doneBytes - this.#toldBytes < STEP * this.#totalBytes) return;
    this.#toldBytes = doneBytes;
    this.#progress.update(Math.floor(doneBytes / BYTES_PER_MB));
  }

  [Symbol.dispose](): void {
    this.#progress.stop();
  }
}
