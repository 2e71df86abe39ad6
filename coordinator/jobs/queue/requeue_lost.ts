/** Jobs whose record says that they wait, and that the stream does not have any more: it was deleted or purged. @module */

import type { JobQueue } from "./job_queue.ts";
import type { JobRecords } from "./job_records.ts";

/**
 * Puts such jobs into the queue again, the oldest first. Only where the queue has none at all of the ensemble: which of many
 * are missing cannot be told. One that is put in twice is drawn once.
 *
 * @returns their ids
 * @throws {TuttiError} if NATS does not answer, or the queue is full
 */
export async function requeueLost(
  { queue, records }: { readonly queue: JobQueue; readonly records: JobRecords },
  ensemble: string,
): Promise<string[]> {
  const { waiting, taken } = await queue.backlog(ensemble);
  if (waiting + taken > 0) return [];
  const lost = (await records.list())
    .filter(({ spec, state }) => state === "queued" && spec.ensemble === ensemble);
  for (const { id, spec } of lost) await queue.add({ id, spec }, { isAgain: true });
  return lost.map(({ id }) => id);
}
