/**
 * What happens to the replicas of an expert, as facts: for the terminal, statistics and metrics. Nothing of it needs an
 * answer.
 *
 * @module
 */

import type { LossReason } from "./loss.ts";

interface OfExpert {
  /** Name of the expert in its ensemble. */
  readonly expert: string;
}

interface OfWorker extends OfExpert {
  /** HOST:PORT */
  readonly worker: string;
}

/** Where in a step something happened; nothing of it for calls without a session. */
export interface Place {
  readonly block?: string;
  readonly stepIndex?: number;
}

/** A call was under way, and its worker is not to be waited for any longer. */
export interface ReplicaLost extends OfWorker, Place {
  readonly kind: "lost";
  readonly reason: LossReason;
  readonly message: string;
  /** Since the call began, ms: no less than it took to notice. */
  readonly detectMs: number;
}

/** A session goes on elsewhere, where the lost one stood. */
export interface Failover extends OfWorker, Place {
  readonly kind: "failover";
  readonly reason: LossReason;
  /** Worker that was lost. */
  readonly from: string;
  readonly detectMs: number;
  /** From the loss to a session that stands where the lost one stood: waiting for a replica included. */
  readonly replayMs: number;
  /** Inputs that the replacement only had to keep, and ranges that it had to compute again. */
  readonly restored: number;
  readonly repeated: number;
}

/** A second replica got the same range, because the first took longer than usual. The slower one is cancelled, not lost. */
export interface Hedged extends OfWorker, Place {
  readonly kind: "hedged";
  /** Worker of the second one. */
  readonly spare: string;
  /** Whether it answered first. */
  readonly won: boolean;
}

/** A worker serves something else than the expert: it is not used. */
export interface ReplicaRefused extends OfWorker {
  readonly kind: "refused";
  readonly message: string;
}

/** No replica is left, and the work waits for one. */
export interface Parked extends OfExpert {
  readonly kind: "parked";
  /** Longest wait, ms. */
  readonly parkMs: number;
  readonly message: string;
}

/** A replica was found for work that had been parked. */
export interface Unparked extends OfWorker {
  readonly kind: "unparked";
  readonly waitedMs: number;
}

export type ReplicaEvent =
  | ReplicaLost
  | Failover
  | Hedged
  | ReplicaRefused
  | Parked
  | Unparked;

export type ReplicaListener = (event: ReplicaEvent) => void;
