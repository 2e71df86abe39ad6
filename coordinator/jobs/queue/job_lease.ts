/**
 * Who may work on a job: a key in the bucket `tutti_leases` that its owner writes again and again, and that vanishes when
 * the owner does not.
 *
 * @module
 */

import { TuttiError } from "../../../shared/errors.ts";
import { CasBucket } from "../../../shared/nats/cas_bucket.ts";
import type { Nats } from "../../../shared/nats/connect.ts";

/** How long a lease holds that is not written again, ms. */
export const LEASE_MS = 5_000;
/** Between two writes, ms: two of them may be lost. */
export const LEASE_REFRESH_MS = 1_500;

export class JobLeases {
  readonly #bucket: CasBucket;

  private constructor(bucket: CasBucket) {
    this.#bucket = bucket;
  }

  static async open(nats: Nats): Promise<JobLeases> {
    const description = "Which coordinator has which job of Tutti's queue";
    return new JobLeases(
      await CasBucket.open(nats, "tutti_leases", { ttlMs: LEASE_MS, description }),
    );
  }

  /**
   * @param owner names this owner among all, dead ones included
   * @returns undefined while somebody has the job
   */
  async take(id: string, owner: string): Promise<JobLease | undefined> {
    const revision = await this.#bucket.create(id, owner);
    if (revision === undefined) return undefined;
    const entry = await this.#bucket.get(id);
    // Who has it by now, if not this owner, says the first write.
    return new JobLease(this.#bucket, { id, owner, revision, takenAt: entry?.writtenAt ?? 0 });
  }

  async isHeld(id: string): Promise<boolean> {
    return await this.#bucket.get(id) !== undefined;
  }
}

interface TakenLease {
  readonly id: string;
  readonly owner: string;
  readonly revision: number;
  readonly takenAt: number;
}

export class JobLease {
  /** By the server's clock, milliseconds since 1970. */
  readonly takenAt: number;
  readonly #bucket: CasBucket;
  readonly #id: string;
  readonly #owner: string;
  readonly #lost = new AbortController();
  #revision: number;
  #writing: Promise<void> = Promise.resolve();

  constructor(bucket: CasBucket, { id, owner, revision, takenAt }: TakenLease) {
    this.#bucket = bucket;
    this.#id = id;
    this.#owner = owner;
    this.#revision = revision;
    this.takenAt = takenAt;
  }

  /** Fires when somebody else has the job, with the error that says so. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Writes the lease again: what was done until now was done by its owner. A key that vanished while nobody could write
   * it, as when the NATS server was away, is taken back if nobody was faster.
   *
   * @throws {TuttiError} ABORTED if it is lost, UNAVAILABLE if NATS does not answer
   */
  confirm(): Promise<void> {
    const next = this.#writing.catch(() => {}).then(() => this.#write());
    this.#writing = next;
    return next;
  }

  /** Lets others have the job. */
  async release(): Promise<void> {
    await this.#writing.catch(() => {});
    if (this.#lost.signal.aborted) return;
    // One that cannot be deleted vanishes by itself.
    await this.#bucket.delete(this.#id, this.#revision).catch(() => {});
    this.lose();
  }

  /** For whoever hears of another owner elsewhere, as from a worker. */
  lose(): void {
    if (!this.#lost.signal.aborted) this.#lost.abort(lostError(this.#id));
  }

  async #write(): Promise<void> {
    this.#lost.signal.throwIfAborted();
    const revision = await this.#bucket.update(this.#id, this.#owner, this.#revision) ??
      await this.#reclaim();
    if (revision === undefined) this.lose();
    this.#lost.signal.throwIfAborted();
    this.#revision = revision!;
  }

  /** The key is not where it was left: it vanished, or a write whose answer got lost was ours. */
  async #reclaim(): Promise<number | undefined> {
    const entry = await this.#bucket.get(this.#id);
    if (entry === undefined) return await this.#bucket.create(this.#id, this.#owner);
    return new TextDecoder().decode(entry.value) === this.#owner ? entry.revision : undefined;
  }
}

export function lostError(id: string): TuttiError {
  return new TuttiError("ABORTED", `Job "${id}" has another coordinator by now`, {
    details: { job: id, field: "fence" },
  });
}
