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

/** More than there are; so many that somebody makes them up shall not fill the memory. */
const MAX_WORKERS = 4096;
/** Starts of one worker, or workers with one id. */
const MAX_BOOTS = 8;
/** Pairs of workers with one id that are told of. */
const MAX_TWINS = 20;

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
  /** By id; several under one id are starts of one worker, or two workers. */
  readonly #entries = new Map<string, readonly Entry[]>();
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
    return this.#living().map(({ announcement }) => announcement)
      .sort((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address));
  }

  /** Whether news of the worker came since. */
  hasHeard(id: string, since: number): boolean {
    return this.#entries.get(id)?.some(({ heardAt }) => heardAt >= since) ?? false;
  }

  /** Whether this is the last that was known before the server went away. */
  get isStale(): boolean {
    return this.#isStale;
  }

  /** When the first lease runs out, ms as `now()`; Infinity without workers. */
  get nextExpiry(): number {
    return this.#leaseMs +
      this.#living().reduce((min, { heardAt }) => Math.min(min, heardAt), Infinity);
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
    const all = this.#entries.get(id) ?? [];
    if (all.length === 0 && this.#entries.size >= MAX_WORKERS) return;
    const known = all.find((entry) => entry.announcement.boot === boot);
    const others = all.filter((entry) => entry !== known);
    // Started again where it was: the one before cannot be there as well.
    const before = others.find((entry) => entry.announcement.address === address);
    const isOld = known ? announcement.count <= known.announcement.count : before !== undefined;
    if (!isLive && isOld) return;
    if (known) this.#noteTwin(known, others);
    const kept = others.filter((entry) => entry !== before).slice(-MAX_BOOTS);
    this.#entries.set(id, [...kept, { announcement, heardAt: this.#now(), isGone: false }]);
    const last = known?.isGone === false ? known.announcement : undefined;
    if (last?.address !== address || last.draining !== announcement.draining) this.#changed();
  }

  /** The worker has taken its announcement back. */
  left(id: string): void {
    const entries = this.#entries.get(id) ?? [];
    this.#entries.delete(id);
    if (entries.some(({ isGone }) => !isGone)) this.#changed();
  }

  /**
   * Whose lease ran out before `asOf` is gone. To be called only after the server has shown that it still tells what is new.
   *
   * @param listed ids that the server still has
   */
  expire(asOf: number, listed: ReadonlySet<string>): void {
    let isChanged = false;
    for (const [id, entries] of this.#entries) {
      for (const entry of entries) {
        if (entry.isGone || entry.heardAt + this.#leaseMs > asOf) continue;
        entry.isGone = true;
        isChanged = true;
      }
      if (!listed.has(id) && entries.every(({ isGone }) => isGone)) this.#entries.delete(id);
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
    for (const entry of this.#living()) entry.heardAt = this.#now();
    this.#changed();
  }

  #living(): Entry[] {
    return [...this.#entries.values()].flat().filter(({ isGone }) => !isGone);
  }

  /** A worker that goes on although another one has been heard under its id since. */
  #noteTwin(
    { announcement: { id, name, address }, heardAt }: Entry,
    others: readonly Entry[],
  ): void {
    const twin = others.find((entry) => entry.heardAt >= heardAt && !entry.isGone);
    if (!twin || this.#twins.has(id) || this.#twins.size >= MAX_TWINS) return;
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
