/** The flags of commands that talk to workers: what happens when one is lost. What did happen is told and counted. @module */

import { Option } from "commander";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import type { Failover, ReplicaEvent, ReplicaLost } from "../cluster/replicas/replica_events.ts";
import { PARK_MS } from "../cluster/replicas/replica_settings.ts";
import { notNegative } from "./flags.ts";

export interface ParkFlags {
  /** Seconds. */
  readonly park: number;
}

export interface ReplicaFlags extends ParkFlags {
  readonly hedge: boolean;
}

/** What `--stats` tells of replicas. */
export interface ReplicaStats {
  readonly losses: readonly Omit<ReplicaLost, "kind">[];
  readonly failovers: readonly Omit<Failover, "kind">[];
  /** Ranges that a second replica was asked for, too, and those in which it was first. */
  readonly hedged: number;
  readonly hedgesWon: number;
  /** Times that work waited for a replica to come back. */
  readonly parked: number;
}

export function parkOption(): Option {
  return new Option(
    "--park <seconds>",
    "how long work waits when the last worker of an expert is lost, until one comes back; 0 fails at once",
  ).argParser(notNegative("--park")).default(PARK_MS / 1000).helpGroup(headingOf("Network"));
}

export function hedgeOption(): Option {
  return new Option(
    "--hedge",
    "where an expert has several workers, ask a second one when the first takes longer than usual",
  ).default(false).helpGroup(headingOf("Network"));
}

export class ReplicaReport {
  readonly #warn: (text: string) => void;
  readonly #events: ReplicaEvent[] = [];

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  readonly add = (event: ReplicaEvent): void => {
    this.#events.push(event);
    const text = sentence(event);
    if (text !== undefined) this.#warn(text);
  };

  stats(): ReplicaStats {
    const of = <K extends ReplicaEvent["kind"]>(kind: K) =>
      this.#events.filter((event) => event.kind === kind) as Extract<ReplicaEvent, { kind: K }>[];
    const facts = <E extends ReplicaEvent>({ kind: _, ...rest }: E) => rest;
    return {
      losses: of("lost").map(facts),
      failovers: of("failover").map(facts),
      hedged: of("hedged").length,
      hedgesWon: of("hedged").filter(({ won }) => won).length,
      parked: of("parked").length,
    };
  }
}

/** For a person who waits; undefined for what only counts. */
function sentence(event: ReplicaEvent): string | undefined {
  switch (event.kind) {
    case "lost":
    case "hedged":
      return undefined;
    case "refused":
      return event.message;
    case "failover": {
      const { expert, from, worker, reason, detectMs, replayMs } = event;
      return `${expert} goes on at ${worker} instead of ${from} (${reason}; noticed after ` +
        `${Math.round(detectMs)} ms, replaced in ${Math.round(replayMs)} ms)`;
    }
    case "parked":
      return `${event.expert} has no worker left and waits up to ${
        event.parkMs / 1000
      } s for one: ${event.message}`;
    case "unparked":
      return `${event.expert} goes on at ${event.worker} after ${Math.round(event.waitedMs)} ms`;
  }
}
