/** How fast workers compute: rates from two readings of the same counters. @module */

import type { WorkerStatus } from "../../shared/wire/convert_status.ts";

/** What of a status rates follow from. */
export type WorkerReading = Pick<
  WorkerStatus,
  "uptimeSeconds" | "blocksRun" | "computeSeconds" | "lanes"
>;

export interface WorkerRates {
  readonly blocksPerSecond: number;
  /** Of the time of all lanes, the part that went into blocks of sessions: 0 to 1. */
  readonly computing: number;
}

/**
 * Rates are over this many seconds: blocks are counted when they end, and wide ones take seconds. Two readings that are
 * further apart than that are enough.
 */
const WINDOW_SECONDS = 10;

/** The last readings of one worker. */
export class RateMeter {
  #readings: WorkerReading[] = [];

  add(reading: WorkerReading): void {
    const last = this.#readings.at(-1);
    // It was started again, and counts from 0.
    if (last && reading.uptimeSeconds < last.uptimeSeconds) this.#readings = [];
    this.#readings.push(reading);
    while (this.#readings.length > 2 && this.#isOld(this.#readings[1]!, reading)) {
      this.#readings.shift();
    }
  }

  /** Undefined until there are two readings. */
  get rates(): WorkerRates | undefined {
    const [first, last] = [this.#readings[0], this.#readings.at(-1)];
    if (!first || !last) return undefined;
    // The worker's own clock: how long its answers travel does not matter.
    const seconds = last.uptimeSeconds - first.uptimeSeconds;
    if (seconds <= 0) return undefined;
    const laneSeconds = seconds * Math.max(1, last.lanes);
    return {
      blocksPerSecond: (last.blocksRun - first.blocksRun) / seconds,
      // A block that ends just now may have begun before the first reading.
      computing: Math.min(1, (last.computeSeconds - first.computeSeconds) / laneSeconds),
    };
  }

  #isOld(reading: WorkerReading, newest: WorkerReading): boolean {
    return newest.uptimeSeconds - reading.uptimeSeconds >= WINDOW_SECONDS;
  }
}
