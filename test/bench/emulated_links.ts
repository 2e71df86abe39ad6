/** The links between coordinator and workers that `network_bench.ts` measures. @module */

export interface EmulatedLink {
  readonly name: string;
  /** What it stands for. */
  readonly title: string;
  /** Each direction of each worker's own cable. */
  readonly mbitPerSecond: number;
  /** Added by a proxy beside the worker, half of it in each direction. */
  readonly roundTripMs: number;
  /** Enough to see the rate through slow start and the shaper's bucket, and no more: about a second. */
  readonly meterBytes: number;
}

export const LINKS: readonly EmulatedLink[] = [
  {
    name: "10gbe",
    title: "10 GbE: machines in one rack",
    mbitPerSecond: 10_000,
    roundTripMs: 0,
    meterBytes: 500e6,
  },
  {
    name: "1gbe",
    title: "1 GbE, 1 ms: an office, or machines of a cloud in one zone",
    mbitPerSecond: 1000,
    roundTripMs: 1,
    meterBytes: 100e6,
  },
  {
    name: "wan",
    title: "100 Mbit/s, 50 ms: from home to a data centre",
    mbitPerSecond: 100,
    roundTripMs: 50,
    meterBytes: 12e6,
  },
];
