/**
 * Workers of the test's own process, as far as their registration over NATS knows.
 *
 * @module
 */

import { type NatsOptions, natsOptions } from "../../shared/nats/nats_options.ts";
import type { WorkerState } from "../../shared/wire/convert_status.ts";
import type { RegisteredWorker } from "../../worker/registration.ts";
import { announcement } from "../shared/nats/announcements.ts";
import { AffineExpert } from "./affine_expert.ts";

export async function natsAt(nats: string): Promise<NatsOptions> {
  return (await natsOptions({ nats }, "a test"))!;
}

/** A worker whose state can be set. */
export function registeredWorker(
  id: string,
  address: string,
): RegisteredWorker & { state: WorkerState } {
  const expert = new AffineExpert().description;
  const self = {
    ...{ id, address, planes: ["tcp"] as const, expert, state: "serving" as WorkerState },
    status: () => ({
      state: self.state,
      versions: announcement().versions,
      ...{ lanes: 1, busyLanes: 0, queueDepth: 0, sessions: 0, maxSessions: 16 },
      arenaBytesLeft: 1,
    }),
  };
  return self;
}

export interface Lines {
  readonly lines: string[];
  readonly onNotice: (text: string, kind?: "note" | "warn") => void;
}

export function collectLines(): Lines {
  const lines: string[] = [];
  return {
    lines,
    onNotice: (text, kind) => void lines.push(kind === "warn" ? `warning: ${text}` : text),
  };
}
