/**
 * How busy a worker is, as messages and back.
 *
 * @module
 */

import type { LoadProgress } from "../engine/block_expert.ts";
import { type Versions, versionsFromFields, versionsToMessage } from "./convert_description.ts";
import { optionalPlane, planeToMessage } from "./convert_plane.ts";
import { Fields, type Message } from "./fields.ts";
import type { PlaneKind } from "./plane/plane_kind.ts";

export type WorkerState = "loading" | "serving" | "draining" | "stopping";

export interface WorkerStatus {
  readonly state: WorkerState;
  /** Empty while loading, like `modelHash`. */
  readonly name: string;
  readonly modelHash: string;
  readonly versions: Versions;
  /** `cuda:1`, and `f16`; empty while loading, and from workers that do not tell. */
  readonly device: string;
  readonly precision: string;
  readonly uptimeSeconds: number;
  readonly lanes: number;
  readonly busyLanes: number;
  /** Calls that wait for a lane. */
  readonly queueDepth: number;
  readonly sessions: number;
  readonly maxSessions: number;
  /** Sessions that wait to be opened. */
  readonly waitingSessions: number;
  readonly arenaBytesUsed: number;
  readonly arenaBytesLeft: number;
  /** Resident memory of the process. */
  readonly residentBytes: number;
  /** Blocks that sessions have run, and the time in their graphs: rates follow from two readings. */
  readonly blocksRun: number;
  readonly computeSeconds: number;
  /** While weights are being brought into memory. */
  readonly loading?: LoadProgress;
}

export interface SessionSummary {
  readonly sessionId: string;
  /** Address of the client. */
  readonly peer: string;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Number of timesteps. */
  readonly timesteps: number;
  /** Step of the last command. */
  readonly stepIndex: number;
  readonly arenaBytes: number;
  readonly ageSeconds: number;
  /** 0 while a command runs. */
  readonly idleSeconds: number;
  /** Undefined while feature maps are part of the messages. */
  readonly plane: PlaneKind | undefined;
}

/** What a worker does for a session whose client waits for it. */
export interface SessionProgress {
  readonly sessionId: string;
  /** Since something of it came or went last, or was computed; 0 while it computes or waits for a lane. */
  readonly quietSeconds: number;
}

const STATES: Readonly<Record<WorkerState, string>> = {
  loading: "WORKER_STATE_LOADING",
  serving: "WORKER_STATE_SERVING",
  draining: "WORKER_STATE_DRAINING",
  stopping: "WORKER_STATE_STOPPING",
};

/** A reader's bound on a list that the worker bounds by its own `maxSessions`. */
const MAX_LISTED = 10_000;

/** @returns names of the sessions that are asked about */
export function statusRequestFromMessage(message: unknown): string[] {
  const fields = new Fields(message, "GetStatusRequest");
  return fields.list("sessionIds", MAX_LISTED).map(String);
}

export function statusRequestToMessage(sessionIds: readonly string[]): Message {
  return { sessionIds };
}

export function statusToMessage(
  status: WorkerStatus,
  awaited: readonly SessionProgress[] = [],
): Message {
  return {
    ...status,
    awaited,
    state: STATES[status.state],
    versions: versionsToMessage(status.versions),
  };
}

export function statusFromMessage(message: unknown): WorkerStatus {
  const fields = new Fields(message, "GetStatusResponse");
  const named = fields.oneOf("state", Object.values(STATES));
  return {
    state: (Object.keys(STATES) as WorkerState[]).find((state) => STATES[state] === named)!,
    name: fields.text("name"),
    modelHash: fields.text("modelHash"),
    versions: versionsFromFields(fields.message("versions")),
    device: fields.text("device"),
    precision: fields.text("precision"),
    uptimeSeconds: fields.number("uptimeSeconds"),
    lanes: fields.whole("lanes", 0),
    busyLanes: fields.whole("busyLanes", 0),
    queueDepth: fields.whole("queueDepth", 0),
    sessions: fields.whole("sessions", 0),
    maxSessions: fields.whole("maxSessions", 0),
    waitingSessions: fields.whole("waitingSessions", 0),
    arenaBytesUsed: fields.whole("arenaBytesUsed", 0),
    arenaBytesLeft: fields.whole("arenaBytesLeft", 0),
    residentBytes: fields.whole("residentBytes", 0),
    blocksRun: fields.whole("blocksRun", 0),
    computeSeconds: fields.number("computeSeconds"),
    ...(fields.has("loading") && { loading: loadProgress(fields.message("loading")) }),
  };
}

function loadProgress(fields: Fields): LoadProgress {
  return {
    blocks: fields.whole("blocks", 0),
    allBlocks: fields.whole("allBlocks", 0),
    bytes: fields.whole("bytes", 0),
  };
}

/** Empty from a worker that is too old to be asked. */
export function awaitedFromMessage(message: unknown): SessionProgress[] {
  return new Fields(message, "GetStatusResponse").list("awaited", MAX_LISTED).map((entry) => {
    const fields = new Fields(entry, "SessionProgress");
    return {
      sessionId: fields.name("sessionId"),
      quietSeconds: fields.number("quietSeconds"),
    };
  });
}

export function sessionsToMessage(sessions: readonly SessionSummary[]): Message {
  return {
    sessions: sessions.map((session) => ({ ...session, plane: planeToMessage(session.plane) })),
  };
}

export function sessionsFromMessage(message: unknown): SessionSummary[] {
  const response = new Fields(message, "ListSessionsResponse");
  return response.list("sessions", MAX_LISTED).map((entry) => {
    const fields = new Fields(entry, "SessionSummary");
    return {
      sessionId: fields.name("sessionId"),
      peer: fields.text("peer"),
      batch: fields.whole("batch", 1),
      height: fields.whole("height", 1),
      width: fields.whole("width", 1),
      timesteps: fields.whole("timesteps", 0),
      stepIndex: fields.whole("stepIndex", 0),
      arenaBytes: fields.whole("arenaBytes", 0),
      ageSeconds: fields.number("ageSeconds"),
      idleSeconds: fields.number("idleSeconds"),
      plane: optionalPlane(fields),
    };
  });
}
