/** Into the queue, once however often it is said, and following the job to its end. @module */

import { isDeepStrictEqual } from "node:util";
import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { isAway } from "../../../shared/nats/nats_errors.ts";
import { errorOfKind } from "../../../shared/wire/status.ts";
import { delay } from "../../cluster/delay.ts";
import { jobSpecToJson } from "../job_spec.ts";
import type { JobQueue, QueuedJob } from "./job_queue.ts";
import { isOver, type JobRecord, newRecord } from "./job_record.ts";
import type { JobRecords } from "./job_records.ts";

/** Between two looks at a job's record, ms. */
const LOOK_MS = 300;

/**
 * @returns whether the job was there already, submitted before under the same id
 * @throws {TuttiError} ALREADY_EXISTS if another job has this id, RESOURCE_EXHAUSTED with `retry_after_ms` if the queue
 * is full
 */
export async function submitJob(
  { queue, records }: { readonly queue: JobQueue; readonly records: JobRecords },
  job: QueuedJob,
): Promise<{ readonly isRepeated: boolean }> {
  const revision = await records.create(newRecord(job.id, job.spec));
  if (revision === undefined) {
    const stored = await records.get(job.id);
    if (stored && !isSame(stored.record, job)) {
      throw new TuttiError(
        "ALREADY_EXISTS",
        `Job "${job.id}" is another one already: choose another --id`,
        { details: { job: job.id } },
      );
    }
    // Whoever made the record may have been stopped before the job was in the queue.
    if (stored?.record.state === "queued") await queue.add(job);
    return { isRepeated: true };
  }
  try {
    await queue.add(job);
  } catch (error) {
    await records.delete(job.id, revision).catch(() => {});
    throw error;
  }
  return { isRepeated: false };
}

/**
 * Waits for the end of a job; a NATS server that is away is waited for, too.
 *
 * @param onLook told of each look at its record
 * @throws {TuttiError} what the job failed with, CANCELLED if somebody cancelled it
 */
export async function followJob(
  records: JobRecords,
  id: string,
  { signal, onLook }: { signal: AbortSignal; onLook: (record: JobRecord) => void },
): Promise<JobRecord> {
  for (;;) {
    const stored = await records.get(id).catch((error) => {
      if (isAway(error)) return "away" as const;
      throw error;
    });
    if (stored === undefined) {
      throw new TuttiError("NOT_FOUND", `Job "${id}" is no longer known`, { details: { job: id } });
    }
    if (stored !== "away") {
      const { record } = stored;
      onLook(record);
      if (isOver(record)) return endOf(record);
    }
    await delay(LOOK_MS, signal);
  }
}

function endOf(record: JobRecord): JobRecord {
  if (record.state === "done") return record;
  const { kind, code, message } = record.error ??
    { kind: "TuttiError", code: "CANCELLED" as const, message: `Job "${record.id}" was cancelled` };
  const details = { job: record.id };
  // Other than a worker's command line, the job's flags were this one's.
  if (kind === "UsageError") throw new UsageError(message, { details });
  throw errorOfKind(kind, code, message, details);
}

function isSame({ spec }: JobRecord, job: QueuedJob): boolean {
  return isDeepStrictEqual(jobSpecToJson(spec), jobSpecToJson(job.spec));
}
