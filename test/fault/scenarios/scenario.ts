/**
 * Scenarios as data: a cluster, what it has to do, what happens to it meanwhile, and what must hold at the end.
 * `run_scenario.ts` plays them with real processes, and the table of `docs/faults.md` is written from what came out.
 *
 * @module
 */

import type { BlockId } from "../../../shared/models/blocks.ts";
import type { FleetPlan } from "./worker_fleet.ts";

export interface Scenario {
  /** Short, lower case. */
  readonly name: string;
  /** For the table: what happens to whom. */
  readonly what: string;
  readonly cluster: FleetPlan;
  readonly load: Load;
  readonly events: readonly ScenarioEvent[];
  readonly checks: readonly Check[];
  /** Whether strangers play all of `attacks.ts` on one worker meanwhile, which needs pages. @default false */
  readonly isAttacked?: boolean;
}

export interface Load {
  readonly images: number;
  /** Further images are drawn until so many minutes are over. @default 0 */
  readonly minutes?: number;
  readonly steps: number;
  /** Images at a time. @default 1 */
  readonly sideBySide?: number;
  /** How long a run waits for a replica when none is left, seconds. @default 60 */
  readonly parkSeconds?: number;
}

export interface ScenarioEvent {
  readonly at: Moment;
  /** Of several one by lot. */
  readonly action: Action | readonly Action[];
}

/** A call of a block is on its way to the worker. */
export interface Moment {
  /** Number of the image, or every image. */
  readonly image: number | "each";
  /** From 1: in the first step nobody knows yet where the sessions are. @default random */
  readonly step?: number;
  /** @default random; "next" is another one for every event, in order */
  readonly block?: BlockId | "next";
}

/** Happens to the worker on which an expert's session is; the experts take turns. */
export type Action =
  /** SIGKILL or SIGTERM ends the process; another one starts at its address as soon as it has ended. */
  | {
    readonly kind: "end";
    readonly signal: "SIGKILL" | "SIGTERM";
    readonly startsAgain: boolean;
    /**
     * The link passes nothing on until the process has ended, which takes some 50 ms: small blocks would be over by then, and
     * another one's call under way. @default false
     */
    readonly holdsCall?: boolean;
  }
  /** SIGSTOP; SIGCONT when the image is there. */
  | { readonly kind: "freeze" }
  /** The link: both sides see its end, or it passes nothing on until the image is there. */
  | { readonly kind: "cut" | "stall" }
  /** One bit of what comes next on the link. */
  | { readonly kind: "flip"; readonly direction: "toServer" | "toClient" }
  /** The user changes her mind. */
  | { readonly kind: "cancel" }
  /** SIGKILL ends the NATS server, which starts again after so many seconds. */
  | { readonly kind: "nats away"; readonly seconds: number };

export type Check =
  /** Every image came out. */
  | "no image failed"
  | "no image failed but by cancelling"
  /** Every image that came out has the bits of an undisturbed run. */
  | "equal bits"
  /** Those that did not come out say so in an error of ours that names the expert's workers. */
  | "typed errors"
  /** Those that were cancelled ended as cancelled. */
  | "cancelled"
  /** At the end no worker has a session, a byte in its arena or a call. */
  | "nothing left"
  /** No image was over before all was repaired that happened to it. */
  | "outlasted"
  /** Every worker is announced at the NATS server. */
  | "announced"
  /**
   * Coordinator and workers hold no more descriptors, shared memory and memory than after the first images; the coordinator
   * no more memory than after a sixth of the minutes.
   */
  | "resources back"
  /** Every worker that was asked to stop did so with exit code 0. */
  | "clean exits"
  /** Half of the images took no more than so many times what undisturbed ones took. */
  | { readonly timesSlower: number }
  /** Every loss was noticed within so many ms after the event. */
  | { readonly noticedWithinMs: number };
