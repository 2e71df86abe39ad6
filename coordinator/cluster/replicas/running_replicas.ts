/**
 * The workers of one expert that run on this machine, as a directory that goes with the times: while a run waits for a
 * worker, those that were started since are found, too.
 *
 * @module
 */

import { delay } from "../delay.ts";
import { type ReplicaDirectory, type ReplicaRecord, StaticReplicas } from "./replica_directory.ts";

/** Between two looks while somebody waits, ms. */
const LOOK_MS = 500;

export class RunningReplicas implements ReplicaDirectory {
  readonly #find: () => Promise<readonly string[]>;
  readonly #listeners = new Set<() => void>();
  #known: ReplicaDirectory;
  /** While somebody waits. */
  #looking: AbortController | undefined;

  /**
   * @param addresses HOST:PORT of those that run now
   * @param find the same at a later time; none, or an error, leaves what was known
   */
  constructor(addresses: readonly string[], find: () => Promise<readonly string[]>) {
    this.#known = new StaticReplicas(addresses);
    this.#find = find;
  }

  replicas(): readonly ReplicaRecord[] {
    return this.#known.replicas();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (!this.#looking) {
      this.#looking = new AbortController();
      this.#look(this.#looking.signal).catch(() => {});
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#looking?.abort();
      this.#looking = undefined;
    };
  }

  async #look(signal: AbortSignal): Promise<void> {
    for (;;) {
      await delay(LOOK_MS, signal);
      const found = await this.#find().catch(() => []);
      const known = this.replicas().map(({ address }) => address);
      if (found.length === 0 || found.join() === known.join()) continue;
      this.#known = new StaticReplicas(found);
      for (const listener of this.#listeners) listener();
    }
  }
}
