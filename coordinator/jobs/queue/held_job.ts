/**
 * A job that this coordinator owns: its lease, its record, its checkpoint and its place in the queue, kept alive while it
 * is worked at. Whatever tells that somebody else owns it by now ends the work, and from then on nothing is written.
 *
 * @module
 */

import type { JsMsg } from "nats";
import { TuttiError } from "../../../shared/errors.ts";
import type { Nats } from "../../../shared/nats/connect.ts";
import { isAway } from "../../../shared/nats/nats_errors.ts";
import type { StepCheckpoint } from "../step_checkpoint.ts";
import { type JobLease, LEASE_REFRESH_MS, lostError } from "./job_lease.ts";
import type { JobRecord } from "./job_record.ts";
import type { JobRecords, StoredRecord } from "./job_records.ts";
import type { NatsCheckpoint } from "./nats_checkpoint.ts";

export interface HeldJobParts {
  readonly nats: Nats;
  readonly message: JsMsg;
  readonly lease: JobLease;
  readonly records: JobRecords;
  readonly checkpoint: NatsCheckpoint;
}

/** Between two tries while NATS is away, ms. */
const RETRY_MS = 500;

export class HeldJob implements AsyncDisposable {
  readonly checkpoint: NatsCheckpoint;
  /**
   * Higher than that of any earlier owner. It is a time, too, so that a NATS server that has lost its store does not begin
   * below what workers remember.
   */
  readonly fence: number;
  readonly #parts: HeldJobParts;
  readonly #ends = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopListening: () => void;
  /** As this owner has written or seen it last; without a revision where there is none. */
  #stored: { readonly record: JobRecord; readonly revision: number | undefined };

  constructor(parts: HeldJobParts, stored: StoredRecord) {
    this.#parts = parts;
    this.#stored = stored;
    this.checkpoint = parts.checkpoint;
    this.fence = Math.max(stored.record.fence + 1, parts.lease.takenAt);
    parts.lease.lost.addEventListener("abort", this.#onLost);
    this.#timer = setInterval(this.#keepAlive, LEASE_REFRESH_MS);
    // A server that was away may have forgotten the lease: the sooner it is written, the better.
    this.#stopListening = parts.nats.onChange((isConnected) => isConnected && this.#keepAlive());
  }

  get record(): JobRecord {
    return this.#stored.record;
  }

  /** Fires when the work is to end: the job has another owner, or was cancelled. The reason is the error that says so. */
  get ends(): AbortSignal {
    return this.#ends.signal;
  }

  get isLost(): boolean {
    return this.#parts.lease.lost.aborted;
  }

  /** For whoever hears from a worker that there is another owner. */
  lose(): void {
    this.#parts.lease.lose();
  }

  /**
   * Keeps a step. A NATS server that is away or cannot write stops nothing: that step is not kept, later ones are.
   *
   * @throws {TuttiError} ABORTED if the job has another owner
   */
  async keepStep(step: StepCheckpoint): Promise<void> {
    await this.#ifPossible(async () => {
      try {
        await this.checkpoint.save(step);
      } catch (error) {
        if (!(error instanceof TuttiError) || error.code !== "ABORTED") throw error;
        // What was written since the last look may be an earlier owner's last word.
        await this.confirm();
        await this.checkpoint.catchUp();
        await this.checkpoint.save(step);
      }
    });
  }

  /** As `keepStep()`, for the record. */
  async keepRecord(change: Partial<JobRecord>): Promise<void> {
    await this.#ifPossible(() => this.write(change));
  }

  /**
   * Writes the record if this owner still is one.
   *
   * @throws {TuttiError} ABORTED if it is not, UNAVAILABLE if NATS is away
   */
  async write(change: Partial<JobRecord>): Promise<void> {
    const { records, lease } = this.#parts;
    for (;;) {
      lease.lost.throwIfAborted();
      const { record: before, revision: seen } = this.#stored;
      const { error: _, ...withoutError } = before;
      // What an earlier try failed with is no news of a job that is done.
      const kept = change.state === "done" ? withoutError : before;
      const record = { ...kept, ...change, fence: this.fence };
      const revision = seen === undefined
        ? await records.create(record)
        : await records.update(record, seen);
      if (revision !== undefined) {
        this.#stored = { record, revision };
        return;
      }
      // A server that has lost its store has forgotten the record, too.
      this.#stored = await this.#look() ?? { record: before, revision: undefined };
    }
  }

  /** As `write()`, for what ends the job: waits for a server that is away, until the signal fires. */
  async writeLastly(change: Partial<JobRecord>, signal: AbortSignal): Promise<void> {
    await this.confirmLastly(signal);
    await this.#whenBack(() => this.write(change), signal);
  }

  /** As `confirm()`, before what only the owner may do: waits like `writeLastly()`. */
  async confirmLastly(signal: AbortSignal): Promise<void> {
    await this.#whenBack(() => this.confirm(), signal);
  }

  /** @throws {TuttiError} ABORTED if the job has another owner, UNAVAILABLE if NATS is away */
  async confirm(): Promise<void> {
    await this.#parts.lease.confirm();
    // A lease that was taken back may have had an owner in between, who has let go of it: that one has written the record.
    await this.write({});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#stopListening();
    this.#parts.lease.lost.removeEventListener("abort", this.#onLost);
    await this.#parts.lease.release();
  }

  readonly #onLost = () => this.#ends.abort(this.#parts.lease.lost.reason);

  readonly #keepAlive = () => {
    // While the server is away there is nobody to write to; what cannot be written now is written the next time.
    if (!this.#parts.nats.isConnected) return;
    this.#parts.message.working();
    // With a look at the record: that somebody wants the job to end is heard between steps, too.
    this.#parts.lease.confirm().then(() => this.#look()).catch(() => {});
  };

  /** Hears from the record of another owner, who has a higher fence, and of whoever wants the job to end. */
  async #look(): Promise<StoredRecord | undefined> {
    const { id } = this.record;
    const stored = await this.#parts.records.get(id);
    if (stored === undefined) return undefined;
    if (stored.record.fence > this.fence) {
      this.lose();
      throw lostError(id);
    }
    if (stored.record.isCancelWanted) this.#ends.abort(cancelledError(id));
    return stored;
  }

  async #whenBack(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isAway(error) || signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Whatever keeps NATS from keeping it, such as a full disk: only another owner ends the image. */
  async #ifPossible(write: () => Promise<void>): Promise<void> {
    if (!this.#parts.nats.isConnected) return;
    try {
      await write();
    } catch (error) {
      if (this.isLost || (error as Partial<TuttiError>).code === "ABORTED") throw error;
    }
  }
}

function cancelledError(id: string): TuttiError {
  return new TuttiError("CANCELLED", `Job "${id}" was cancelled`, { details: { job: id } });
}
