/** What happens to jobs, for whoever watches: kept while a job is there, so that a watcher can pick up where it was cut off. @module */

export interface JobEvent<Data> {
  /** Later events have higher ones, also those of a server that was started again. */
  readonly id: number;
  readonly data: Data;
}

/** More than any watcher misses between two connections; every event has all that is known, so older ones are no loss. */
const KEPT = 256;

export class JobEvents<Data> {
  readonly #kept: JobEvent<Data>[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #now: () => number;
  #isOver = false;

  /** @param now ms since 1970, of which ids are made */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  add(data: Data): void {
    const id = Math.max(this.#now(), (this.#kept.at(-1)?.id ?? 0) + 1);
    this.#kept.push({ id, data });
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.#wake();
  }

  /** Nothing follows. */
  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** Every event after that one, those that are still to come, too, until the last; the newest one alone where some in between are gone. */
  async *after(id: number, signal: AbortSignal): AsyncGenerator<JobEvent<Data>, void, void> {
    let last = id;
    while (!signal.aborted) {
      for (const event of this.#since(last)) {
        last = event.id;
        yield event;
        if (signal.aborted) return;
      }
      if (this.#since(last).length > 0) continue;
      if (this.#isOver) return;
      await this.#next(signal);
    }
  }

  #since(id: number): readonly JobEvent<Data>[] {
    const isWhole = this.#kept.length < KEPT || this.#kept[0]!.id <= id;
    const missed = this.#kept.filter((event) => event.id > id);
    return isWhole ? missed : missed.slice(-1);
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#listeners.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#listeners.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
