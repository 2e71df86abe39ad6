/**
 * From a message of the queue to a job that this coordinator owns. The queue gives a job to another coordinator when
 * nothing is heard of its first one; whether that one is dead is for the lease to tell.
 *
 * @module
 */

import type { JsMsg } from "nats";
import type { Nats } from "../../../shared/nats/connect.ts";
import { delay } from "../../cluster/delay.ts";
import { HeldJob } from "./held_job.ts";
import { type JobLeases, LEASE_MS } from "./job_lease.ts";
import type { QueuedJob } from "./job_queue.ts";
import { isOver, newRecord } from "./job_record.ts";
import type { JobRecords, StoredRecord } from "./job_records.ts";
import type { NatsCheckpoints } from "./nats_checkpoint.ts";

/** What the coordinators of one queue have in common. */
export interface JobStores {
  readonly nats: Nats;
  readonly records: JobRecords;
  readonly leases: JobLeases;
  readonly checkpoints: NatsCheckpoints;
}

/** Between two looks at a lease that somebody has, ms. */
const LOOK_MS = 500;
/**
 * A lease that vanished under a running job is left to its owner for so long, ms: when a NATS server comes back, leases
 * have vanished that nobody could write, and their owners write them again at once.
 */
const RECLAIM_MS = 3_000;

/**
 * So long, ms, somebody may have the lease of a job whose message came here: an owner that is dead has lost it by then. The
 * message is another one's of a job that is well, such as the second of a job that was submitted twice.
 */
const PATIENCE_MS = LEASE_MS + RECLAIM_MS;

/** @returns what becomes of the message instead: the job is over, or somebody else works at it */
export async function takeJob(
  { nats, records, leases, checkpoints }: JobStores,
  message: JsMsg,
  job: QueuedJob,
  signal: AbortSignal,
): Promise<HeldJob | "over" | "elsewhere"> {
  const owner = crypto.randomUUID();
  const since = performance.now();
  let freeSince: number | undefined;
  for (;;) {
    const stored = await recordOf(records, job, signal);
    if (isOver(stored.record)) return "over";
    const isHeld = await leases.isHeld(job.id);
    const now = performance.now();
    freeSince = isHeld ? undefined : freeSince ?? now;
    const mayBeTaken = freeSince !== undefined &&
      (stored.record.state !== "running" || now - freeSince >= RECLAIM_MS);
    const lease = mayBeTaken ? await leases.take(job.id, owner) : undefined;
    if (lease) {
      const checkpoint = checkpoints.of(job.id);
      // As of now: the owner before may have written between the look and the lease.
      const current = await recordOf(records, job, signal);
      const held = new HeldJob({ nats, message, lease, records, checkpoint }, current);
      if (!isOver(current.record)) return held;
      await held[Symbol.asyncDispose]();
      return "over";
    }
    if (isHeld && now - since > PATIENCE_MS) return "elsewhere";
    message.working();
    await delay(LOOK_MS, signal);
  }
}

/** A job that another program has put into the queue may have none yet. */
async function recordOf(
  records: JobRecords,
  { id, spec }: QueuedJob,
  signal: AbortSignal,
): Promise<StoredRecord> {
  for (;;) {
    const stored = await records.get(id);
    if (stored) return stored;
    const record = newRecord(id, spec);
    const revision = await records.create(record);
    if (revision !== undefined) return { record, revision };
    await delay(LOOK_MS, signal);
  }
}
