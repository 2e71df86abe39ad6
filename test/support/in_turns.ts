/**
 * Many small jobs, a few at a time: as many processes as the machine has cores.
 *
 * @module
 */

/** The first failure is thrown, once every job that had begun has ended. */
export async function inTurns<T>(
  items: readonly T[],
  job: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const lanes = Array.from({ length: Math.max(2, navigator.hardwareConcurrency) }, async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await job(item);
  });
  const ends = await Promise.allSettled(lanes);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}
