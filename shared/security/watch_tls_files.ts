/**
 * Certificates that are renewed while a process runs. Their files are read again every few seconds, which asks nothing of
 * whatever renews them: an ACME client, `cp`, a Kubernetes secret that is mounted. A signal would have to be sent, and
 * SIGHUP also is what a terminal sends when it closes, which shall end a worker; neither links that are moved nor file
 * systems of other machines tell of changes by themselves, and times of files may be copied with them.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { TuttiError } from "../errors.ts";
import { readTlsFiles, type TlsFiles, type TlsPaths } from "./tls_files.ts";

export interface TlsWatchOptions {
  /** Takes what is new. What it throws is told, too. */
  readonly renew: (files: TlsFiles) => Promise<void> | void;
  /** Told of new files that cannot be used, once for each change. */
  readonly warn: (text: string) => void;
  /** Told of files that are used from now on. */
  readonly note: (text: string) => void;
  /** @default 3000 */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 3_000;

/**
 * Looks until the result is disposed of, and keeps no process alive.
 *
 * @param used what was read of the files when the process started
 */
export function watchTlsFiles(
  paths: TlsPaths,
  used: TlsFiles,
  options: TlsWatchOptions,
): Disposable {
  const watch = new TlsWatch(paths, used, options);
  watch.lookLater();
  return watch;
}

class TlsWatch implements Disposable {
  readonly #paths: TlsPaths;
  readonly #options: TlsWatchOptions;
  /** Texts that were taken, or refused. */
  #judged: string;
  /** Texts that were there when it looked last. */
  #seen: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(paths: TlsPaths, { pair, ca }: TlsFiles, options: TlsWatchOptions) {
    this.#paths = paths;
    this.#options = options;
    this.#judged = this.#seen = JSON.stringify([pair?.cert, pair?.key, ca]);
  }

  lookLater(): void {
    if (this.#isOver) return;
    const look = () => void this.#look().finally(() => this.lookLater());
    const timer = setTimeout(look, this.#options.intervalMs ?? INTERVAL_MS);
    Deno.unrefTimer(timer);
    this.#timer = timer;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { tlsCert, tlsKey, tlsCa } = this.#paths;
    const texts = JSON.stringify(await Promise.all([tlsCert, tlsKey, tlsCa].map(textOf)));
    // A certificate and its key are two files: what changed a moment ago may be half of what is to come.
    const isSettled = texts === this.#seen;
    this.#seen = texts;
    if (texts === this.#judged || !isSettled || this.#isOver) return;
    this.#judged = texts;
    await this.#take();
  }

  async #take(): Promise<void> {
    const { renew, warn, note } = this.#options;
    let files: TlsFiles;
    try {
      files = (await readTlsFiles(this.#paths, warn))!;
    } catch (error) {
      return warn(`${TuttiError.from(error).message}. What was read before stays in use`);
    }
    try {
      await renew(files);
    } catch (error) {
      return warn(`New certificates cannot be used everywhere: ${TuttiError.from(error).message}`);
    }
    const { tlsCert, tlsCa } = this.#paths;
    note(`New connections use what is new in ${[tlsCert, tlsCa].filter(Boolean).join(" and ")}`);
  }
}

/** Null where none is to be read, or none can be. */
async function textOf(path: string | undefined): Promise<string | null> {
  return path ? await readFile(path, "utf8").catch(() => null) : null;
}
