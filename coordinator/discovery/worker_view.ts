/**
 * Which workers there are, from what they have said of themselves. A worker that says nothing new for a lease is gone,
 * whatever the server still has of it. While the server is away nothing is known to change, so the view stays as it was and
 * says that it is stale.
 *
 * @module
 */

import { LEASE_MS, type WorkerAnnouncement } from "../../shared/nats/worker_announcement.ts";

export interface WorkerViewOptions {
  /** ms, monotonic. @default performance.now */
  readonly now?: () => number;
  /** @default LEASE_MS */
  readonly leaseMs?: number;
  /** A line for people. */
  readonly onNotice?: (text: string) => void;
}

interface Entry {
  readonly announcement: WorkerAnnouncement;
  /** When news of it last came. */
  heardAt: number;
  /** Its lease has run out; kept while the server still shows it, so that an old announcement is no news. */
  isGone: boolean;
}

export class WorkerView {
  readonly #now: () => number;
  readonly #leaseMs: number;
  readonly #notice: (text: string) => void;
  /** Id and boot: two workers may have one id. */
  readonly #entries = new Map<string, Entry>();
  readonly #twins = new Set<string>();
  readonly #listeners = new Set<() => void>();
  #isStale = false;

  constructor({ now, leaseMs, onNotice }: WorkerViewOptions = {}) {
    this.#now = now ?? (() => performance.now());
    this.#leaseMs = leaseMs ?? LEASE_MS;
    this.#notice = onNotice ?? (() => {});
  }

  /** Those that live, by name and address. */
  workers(): readonly WorkerAnnouncement[] {
    return [...this.#entries.values()]
      .filter(({ isGone }) => !isGone)
      .map(({ announcement }) => announcement)
      .sort((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address));
  }

  /** Whether this is the last that was known before the server went away. */
  get isStale(): boolean {
    return this.#isStale;
  }

  /** When the first lease runs out, ms as `now()`; Infinity without workers. */
  get nextExpiry(): number {
    const living = [...this.#entries.values()].filter(({ isGone }) => !isGone);
    return Math.min(...living.map(({ heardAt }) => heardAt + this.#leaseMs));
  }

  /**
   * @param listener called after each change of who is there, drains, or where; not when only the load changes
   * @returns what ends it
   */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * @param isLive whether it came when it was said; what is found in a list may have been said long ago
   */
  heard(announcement: WorkerAnnouncement, { isLive }: { readonly isLive: boolean }): void {
    const { id, boot, address } = announcement;
    const key = `${id} ${boot}`;
    const known = this.#entries.get(key);
    // Started again where it was: the one before cannot be there as well.
    const before = [...this.#entries].find(([other, entry]) =>
      other !== key && entry.announcement.id === id && entry.announcement.address === address
    );
    const isOld = known ? announcement.count <= known.announcement.count : before !== undefined;
    if (!isLive && isOld) return;
    if (known) this.#noteTwin(known);
    if (before) this.#entries.delete(before[0]);
    this.#entries.set(key, { announcement, heardAt: this.#now(), isGone: false });
    const last = known?.isGone === false ? known.announcement : undefined;
    if (last?.address !== address || last.draining !== announcement.draining) this.#changed();
  }

  /** The worker has taken its announcement back. */
  left(id: string): void {
    this.#remove((entry) => entry.announcement.id === id);
  }

  /**
   * Whose lease ran out before `asOf` is gone. To be called only after the server has shown that it still tells what is new.
   *
   * @param listed ids that the server still has
   */
  expire(asOf: number, listed: ReadonlySet<string>): void {
    const isOver = ({ heardAt }: Entry) => heardAt + this.#leaseMs <= asOf;
    let isChanged = false;
    for (const [key, entry] of this.#entries) {
      if (!isOver(entry)) continue;
      isChanged ||= !entry.isGone;
      entry.isGone = true;
      if (!listed.has(entry.announcement.id)) this.#entries.delete(key);
    }
    if (isChanged) this.#changed();
  }

  /** The server is away. */
  freeze(): void {
    if (this.#isStale) return;
    this.#isStale = true;
    this.#changed();
  }

  /** The server is back: workers have as long as a lease to say that they are, too. */
  thaw(): void {
    if (!this.#isStale) return;
    this.#isStale = false;
    for (const entry of this.#entries.values()) if (!entry.isGone) entry.heardAt = this.#now();
    this.#changed();
  }

  #remove(isMeant: (entry: Entry) => boolean): void {
    const meant = [...this.#entries].filter(([, entry]) => isMeant(entry));
    for (const [key] of meant) this.#entries.delete(key);
    if (meant.some(([, { isGone }]) => !isGone)) this.#changed();
  }

  /** A worker that goes on although another one has been heard under its id since. */
  #noteTwin({ announcement: { id, boot, name, address }, heardAt }: Entry): void {
    const twin = [...this.#entries.values()].find((entry) =>
      entry.announcement.id === id && entry.announcement.boot !== boot &&
      entry.heardAt >= heardAt && !entry.isGone
    );
    if (!twin || this.#twins.has(id)) return;
    this.#twins.add(id);
    const other = twin.announcement;
    this.#notice(
      `warning: two workers have the id ${id}: "${name}" at ${address} and "${other.name}" at ` +
        `${other.address}. Start one of them with a --state folder of its own`,
    );
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
