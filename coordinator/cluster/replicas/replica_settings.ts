/**
 * How patient a coordinator is with replicas. Every number states its unit and reason; tests use smaller ones.
 *
 * @module
 */

export interface ReplicaSettings {
  /** Between two questions whether a worker with work is there, ms. */
  readonly heartbeatMs: number;
  /** Silence after which it is given up, ms: with the time to notice, below 2 s. */
  readonly silenceMs: number;
  /** Slower than any link on which nothing was measured yet is taken to be, bytes a second. */
  readonly linkBytesPerSecond: number;
  /** No range of blocks is given up sooner, ms. */
  readonly deadlineFloorMs: number;
  /** A range may take this many times what 99 of 100 took on the same worker. */
  readonly deadlineFactor: number;
  /** How many times more of all that a worker gets that has no spare: giving it up would gain nothing. */
  readonly lastPatience: number;
  /** Finding a worker and its description while work waits, ms; one that loads its model is asked again later. */
  readonly connectMs: number;
  /** A lost worker is not asked again for so long, ms: first, and at most after more losses, doubled each time. */
  readonly banMs: number;
  readonly maxBanMs: number;
  /** Nor is the last one that there is, ms, from the second loss in a row on. */
  readonly retryMs: number;
  readonly maxRetryMs: number;
  /** After the last call the heartbeat goes on for so long, ms: the next call may come soon. */
  readonly lingerMs: number;
  /** A second replica is not asked sooner, ms: restoring a step there takes as long. */
  readonly hedgeFloorMs: number;
}

export const REPLICA_SETTINGS: ReplicaSettings = {
  heartbeatMs: 500,
  silenceMs: 1_500,
  // 8 Mbit/s. On a slower one the first feature map may be sent again, and how long it takes is known then.
  linkBytesPerSecond: 1_000_000,
  // Loading a graph and a busy machine are no reason to compute elsewhere.
  deadlineFloorMs: 2_000,
  deadlineFactor: 4,
  lastPatience: 8,
  connectMs: 3_000,
  banMs: 15_000,
  maxBanMs: 300_000,
  retryMs: 250,
  maxRetryMs: 2_000,
  lingerMs: 2_000,
  hedgeFloorMs: 25,
};

/** How long work waits for a replica when none is left, ms. */
export const PARK_MS = 120_000;
