/** The records of all jobs, in the bucket `tutti_results`. @module */

import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { CasBucket } from "../../../shared/nats/cas_bucket.ts";
import type { Nats } from "../../../shared/nats/connect.ts";
import { decodeRecord, encodeRecord, isOver, JOB_KEPT_MS, type JobRecord } from "./job_record.ts";

export interface StoredRecord {
  readonly record: JobRecord;
  readonly revision: number;
}

/** Records that are asked for at a time. */
const READS_AT_A_TIME = 32;

export class JobRecords {
  readonly #bucket: CasBucket;

  private constructor(bucket: CasBucket) {
    this.#bucket = bucket;
  }

  static async open(nats: Nats): Promise<JobRecords> {
    const description = "What is known of each job of Tutti's queue";
    return new JobRecords(
      await CasBucket.open(nats, "tutti_results", { ttlMs: JOB_KEPT_MS, description }),
    );
  }

  async get(id: string): Promise<StoredRecord | undefined> {
    const entry = await this.#bucket.get(id);
    return entry && { record: decodeRecord(id, entry.value), revision: entry.revision };
  }

  /** @returns undefined if there is a record already */
  create(record: JobRecord): Promise<number | undefined> {
    return this.#bucket.create(record.id, encodeRecord(record));
  }

  /** @returns undefined if it was written since `revision` */
  update(record: JobRecord, revision: number): Promise<number | undefined> {
    return this.#bucket.update(record.id, encodeRecord(record), revision);
  }

  delete(id: string, revision: number): Promise<boolean> {
    return this.#bucket.delete(id, revision);
  }

  /** The oldest first; those that cannot be read are left out. */
  async list(): Promise<JobRecord[]> {
    const ids = await this.#bucket.keys();
    const records: JobRecord[] = [];
    for (let start = 0; start < ids.length; start += READS_AT_A_TIME) {
      const some = ids.slice(start, start + READS_AT_A_TIME);
      const stored = await Promise.allSettled(some.map((id) => this.get(id)));
      records.push(
        ...stored.flatMap((end) =>
          end.status === "fulfilled" && end.value ? [end.value.record] : []
        ),
      );
    }
    return records.sort((a, b) => a.submittedAt - b.submittedAt);
  }

  /**
   * The job with this id, or the only one whose id begins so.
   *
   * @throws {TuttiError} NOT_FOUND
   * @throws {UsageError} if several begin so
   */
  async find(start: string): Promise<JobRecord> {
    const stored = await this.get(start);
    if (stored) return stored.record;
    const ids = (await this.#bucket.keys()).filter((id) => id.startsWith(start));
    if (ids.length > 1) {
      const shown = ids.slice(0, 3).map((id) => `"${id}"`).join(", ");
      throw new UsageError(
        `"${start}" must be the beginning of one job's id: ${ids.length} begin so, such as ${shown}`,
      );
    }
    const found = ids[0] === undefined ? undefined : await this.get(ids[0]);
    if (found) return found.record;
    throw notFound(start);
  }

  /**
   * Asks for the end of a job: one that waits is over at once, one that runs ends after the block that it computes.
   *
   * @returns its record after that; that of a job that is over stays as it is
   * @throws {TuttiError} NOT_FOUND
   */
  async cancel(id: string): Promise<JobRecord> {
    for (;;) {
      const stored = await this.get(id);
      if (!stored) throw notFound(id);
      const { record, revision } = stored;
      if (isOver(record)) return record;
      const cancelled: JobRecord = record.state === "queued"
        ? { ...record, state: "cancelled", isCancelWanted: true, endedAt: Date.now() }
        : { ...record, isCancelWanted: true };
      if (await this.update(cancelled, revision) !== undefined) return cancelled;
    }
  }
}

function notFound(id: string): TuttiError {
  return new TuttiError("NOT_FOUND", `There is no job "${id}": \`tutti jobs\` lists them`, {
    details: { job: id },
  });
}
