/**
 * The workers of one expert as a directory that goes with the times: while a run waits for a worker, those that were started
 * since, on this machine or announced over NATS, are found, too.
 *
 * @module
 */

import { delay } from "../delay.ts";
import { type ReplicaDirectory, type ReplicaRecord, StaticReplicas } from "./replica_directory.ts";

/** Between two looks while somebody waits, ms. */
const LOOK_MS = 500;

type Find = () => Promise<readonly string[]>;

interface Source {
  readonly find: Find;
  /** What it found last. */
  found: readonly string[];
}

export class RunningReplicas implements ReplicaDirectory {
  readonly #sources: readonly Source[];
  readonly #listeners = new Set<() => void>();
  #known: ReplicaDirectory;
  /** While somebody waits. */
  #looking: AbortController | undefined;

  /**
   * @param addresses HOST:PORT of those that are known now; they stay known until a source finds others
   * @param finds what each source knows at a later time; none, or an error, changes nothing
   */
  constructor(addresses: readonly string[], finds: readonly Find[]) {
    this.#known = new StaticReplicas(addresses);
    this.#sources = finds.map((find) => ({ find, found: [] }));
  }

  replicas(): readonly ReplicaRecord[] {
    return this.#known.replicas();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (!this.#looking) {
      const { signal } = this.#looking = new AbortController();
      // One that answers slowly, as NATS when it is away, holds up no other.
      for (const source of this.#sources) this.#look(source, signal).catch(() => {});
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#looking?.abort();
      this.#looking = undefined;
    };
  }

  async #look(source: Source, signal: AbortSignal): Promise<void> {
    for (;;) {
      await delay(LOOK_MS, signal);
      const found = await source.find().catch(() => []);
      if (found.length > 0) source.found = found;
      const all = [...new Set(this.#sources.flatMap((each) => each.found))];
      const known = this.replicas().map(({ address }) => address);
      if (all.length === 0 || all.join() === known.join()) continue;
      this.#known = new StaticReplicas(all);
      for (const listener of this.#listeners) listener();
    }
  }
}
