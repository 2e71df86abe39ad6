/** The whole terminal as a picture that is drawn over, and given back as it was. @module */

import process from "node:process";
import { printable, printText } from "../../shared/terminal/stdout.ts";

const SHOW = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** Keys that quit; in raw mode Ctrl-C comes as a character. */
const QUIT = ["q", "Q", "\x03"] as const;

export class Screen implements Disposable {
  readonly #onKeys: (keys: Uint8Array) => void;
  readonly #onResize: () => void;
  readonly #hasKeys = process.stdin.isTTY === true;

  /** @param on told what the person does */
  constructor(on: { readonly quit: () => void; readonly resize: () => void }) {
    this.#onKeys = (keys) => {
      const typed = new TextDecoder().decode(keys);
      if (QUIT.some((key) => typed.includes(key))) on.quit();
    };
    this.#onResize = on.resize;
    printText(SHOW);
    Deno.addSignalListener("SIGWINCH", this.#onResize);
    if (!this.#hasKeys) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.#onKeys);
    process.stdin.resume();
  }

  get size(): { readonly columns: number; readonly rows: number } {
    const { columns, rows } = Deno.consoleSize();
    // Some terminals do not know how large they are.
    return { columns: columns || 80, rows: rows || 24 };
  }

  draw(lines: readonly string[]): void {
    // Each line clears what is left of the one before it: nothing flickers.
    printText(`\x1b[H${lines.map((line) => `${printable(line)}\x1b[K`).join("\r\n")}\x1b[J`);
  }

  [Symbol.dispose](): void {
    Deno.removeSignalListener("SIGWINCH", this.#onResize);
    if (this.#hasKeys) {
      process.stdin.off("data", this.#onKeys);
      process.stdin.setRawMode(false);
      process.stdin.pause();
      process.stdin.unref();
    }
    printText(LEAVE);
  }
}
