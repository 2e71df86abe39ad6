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
  readonly #parts: HeldJobParts;
  readonly #ends = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopListening: () => void;
  #stored: StoredRecord;

  constructor(parts: HeldJobParts, stored: StoredRecord) {
    this.#parts = parts;
    this.#stored = stored;
    this.checkpoint = parts.checkpoint;
    parts.lease.lost.addEventListener("abort", this.#onLost);
    this.#timer = setInterval(this.#keepAlive, LEASE_REFRESH_MS);
    // A server that was away may have forgotten the lease: the sooner it is written, the better.
    this.#stopListening = parts.nats.onChange((isConnected) => isConnected && this.#keepAlive());
  }

  get record(): JobRecord {
    return this.#stored.record;
  }

  get fence(): number {
    return this.#parts.lease.fence;
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
   * Keeps a step. A NATS server that is away stops nothing: that step is not kept, later ones are.
   *
   * @throws {TuttiError} ABORTED if the job has another owner
   */
  async keepStep(step: StepCheckpoint): Promise<void> {
    await this.#unlessAway(async () => {
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
    await this.#unlessAway(() => this.write(change));
  }

  /**
   * Writes the record if this owner still is one.
   *
   * @throws {TuttiError} ABORTED if it is not, UNAVAILABLE if NATS is away
   */
  async write(change: Partial<JobRecord>): Promise<void> {
    for (;;) {
      this.#parts.lease.lost.throwIfAborted();
      const record = { ...this.#stored.record, ...change, fence: this.fence };
      const revision = await this.#parts.records.update(record, this.#stored.revision);
      if (revision !== undefined) {
        this.#stored = { record, revision };
        return;
      }
      await this.#reread();
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
  confirm(): Promise<void> {
    return this.#parts.lease.confirm();
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
    this.#parts.lease.confirm().catch(() => {});
  };

  /** Somebody else wrote the record: another owner, who has a higher fence, or whoever wants the job to end. */
  async #reread(): Promise<void> {
    const { id } = this.record;
    const stored = await this.#parts.records.get(id);
    if (stored === undefined || stored.record.fence > this.fence) {
      this.lose();
      throw lostError(id);
    }
    this.#stored = stored;
    if (stored.record.isCancelWanted) this.#ends.abort(cancelledError(id));
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

  async #unlessAway(write: () => Promise<void>): Promise<void> {
    if (!this.#parts.nats.isConnected) return;
    try {
      await write();
    } catch (error) {
      if (!isAway(error)) throw error;
    }
  }
}

function cancelledError(id: string): TuttiError {
  return new TuttiError("CANCELLED", `Job "${id}" was cancelled`, { details: { job: id } });
}
