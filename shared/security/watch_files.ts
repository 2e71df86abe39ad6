import { readRegularText } from "../regular_file.ts";
/**
 * Secrets that are renewed while a process runs. Their files are read again every few seconds, which asks nothing of
 * whatever renews them: an ACME client, `cp`, a Kubernetes secret that is mounted. A signal would have to be sent, and
 * SIGHUP also is what a terminal sends when it closes, which shall end a worker; neither links that are moved nor file
 * systems of other machines tell of changes by themselves, and times of files may be copied with them.
 *
 * @module
 */

export interface FileWatchOptions {
  /** Reads and takes what is new. Never rejects. */
  readonly take: () => Promise<void>;
  /** Of the files, as they were taken before; without them the first look takes what is there. */
  readonly used?: readonly (string | undefined)[];
  /** @default 3000 */
  readonly intervalMs?: number;
}

/** What everybody who watches secrets is told, and how often they are looked at. */
export interface RenewalOptions {
  /** Told of new files that cannot be used, once for each change. */
  readonly warn: (text: string) => void;
  /** Told of files that are used from now on. */
  readonly note: (text: string) => void;
  readonly intervalMs?: number;
}

const INTERVAL_MS = 3_000;

/** Looks until the result is disposed of, and keeps no process alive. @param paths of which some may be left out */
export function watchFiles(
  paths: readonly (string | undefined)[],
  options: FileWatchOptions,
): Disposable {
  const watch = new FileWatch(paths, options);
  watch.lookLater();
  return watch;
}

class FileWatch implements Disposable {
  readonly #paths: readonly (string | undefined)[];
  readonly #options: FileWatchOptions;
  /** Texts that were taken, or refused. */
  #judged: string | undefined;
  /** Texts that were there when it looked last. */
  #seen: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(paths: readonly (string | undefined)[], options: FileWatchOptions) {
    this.#paths = paths;
    this.#options = options;
    this.#judged = this.#seen = options.used && JSON.stringify(options.used);
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
    const texts = JSON.stringify(await Promise.all(this.#paths.map(textOf)));
    // A certificate and its key are two files: what changed a moment ago may be half of what is to come.
    const isSettled = texts === this.#seen;
    this.#seen = texts;
    if (texts === this.#judged || !isSettled || this.#isOver) return;
    this.#judged = texts;
    await this.#options.take();
  }
}

/** Null where none is to be read, or none can be. */
async function textOf(path: string | undefined): Promise<string | null> {
  return path ? await readRegularText(path).catch(() => null) : null;
}
