/** What workers do in a second, from two readings of what they have done. @module */

import { useRef } from "preact/hooks";

/** @returns blocks a second, by worker; none before the second reading */
export function useRates(workers = []) {
  const readings = useRef({ before: new Map(), rates: new Map(), workers: undefined });
  const last = readings.current;
  if (workers.length > 0 && workers !== last.workers) {
    const rates = new Map();
    const before = new Map();
    for (const worker of workers) {
      const key = `${worker.ensemble}/${worker.expert}/${worker.address}`;
      const earlier = last.before.get(key);
      const seconds = worker.uptime_seconds - earlier?.uptime_seconds;
      // A worker that was started again counts from 0.
      if (seconds > 0) rates.set(worker, (worker.blocks_run - earlier.blocks_run) / seconds);
      before.set(key, worker);
    }
    readings.current = { before, rates, workers };
  }
  return readings.current.rates;
}
