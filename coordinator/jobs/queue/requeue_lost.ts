/** Jobs that are not over, and that the stream does not have any more: it was deleted or purged. @module */

import type { JobLeases } from "./job_lease.ts";
import type { JobQueue } from "./job_queue.ts";
import { isOver } from "./job_record.ts";
import type { JobRecords } from "./job_records.ts";

export interface LostJobsOptions {
  readonly queue: JobQueue;
  readonly records: JobRecords;
  readonly leases: JobLeases;
}

/**
 * Puts those that wait, and those that a coordinator was at which is gone, into the queue again, the oldest first. Only where the queue has none at all of the ensemble: which of many
 * are missing cannot be told. One that is put in twice is drawn once.
 *
 * @returns their ids
 * @throws {TuttiError} if NATS does not answer, or the queue is full
 */
export async function requeueLost(
  { queue, records, leases }: LostJobsOptions,
  ensemble: string,
): Promise<string[]> {
  const { waiting, taken } = await queue.backlog(ensemble);
  if (waiting + taken > 0) return [];
  const lost: string[] = [];
  for (const record of await records.list()) {
    const { id, spec, state } = record;
    if (isOver(record) || spec.ensemble !== ensemble) continue;
    // Whoever draws it needs no message to go on.
    if (state === "running" && await leases.isHeld(id)) continue;
    await queue.add({ id, spec }, { isAgain: true });
    lost.push(id);
  }
  return lost;
}
