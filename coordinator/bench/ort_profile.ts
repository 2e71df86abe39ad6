/**
 * Reads the profile that ONNX Runtime writes for one session: how long each kind of operation took, run by run. The file
 * is a list of events as Chrome's tracing knows them; times are in microseconds.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";

export interface OpTime {
  readonly calls: number;
  readonly ms: number;
}

/** Operator (as ONNX Runtime ran it, after its fusions) -> time of one run. */
export type RunProfile = ReadonlyMap<string, OpTime>;

interface TraceEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** The event that spans one run, and the part of a node's event name that tells its own time. */
const RUN_EVENT = "model_run";
const NODE_TIME = "_kernel_time";

/**
 * @param path named in errors
 * @returns one entry per run, in order
 * @throws {FormatError} if the text is no profile
 */
export function parseProfile(text: string, path: string): RunProfile[] {
  const events = parseEvents(text, path);
  const runs = events.filter(({ cat, name }) => cat === "Session" && name === RUN_EVENT)
    .sort((a, b) => a.ts - b.ts);
  const profiles = runs.map(() => new Map<string, OpTime>());
  const nodes = events.filter(({ cat, name }) => cat === "Node" && name.endsWith(NODE_TIME));
  for (const { ts, dur, args } of nodes) {
    const index = runs.findLastIndex((run) => run.ts <= ts);
    const op = args?.op_name;
    if (index < 0 || op === undefined) {
      throw new FormatError(`Profile "${path}" has the time of an operation outside of every run`);
    }
    addTime(profiles[index]!, op, { calls: 1, ms: dur / 1000 });
  }
  return profiles;
}

/** What several sessions did in one run of each. */
export function mergeProfiles(profiles: Iterable<RunProfile>): RunProfile {
  const sum = new Map<string, OpTime>();
  for (const profile of profiles) for (const [op, time] of profile) addTime(sum, op, time);
  return sum;
}

function addTime(profile: Map<string, OpTime>, op: string, { calls, ms }: OpTime): void {
  const before = profile.get(op) ?? { calls: 0, ms: 0 };
  profile.set(op, { calls: before.calls + calls, ms: before.ms + ms });
}

function parseEvents(text: string, path: string): TraceEvent[] {
  let events: unknown;
  try {
    events = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`Profile "${path}" is not JSON: ${(cause as Error).message}`, { cause });
  }
  const isEvent = (event: Partial<TraceEvent> | null) =>
    typeof event?.cat === "string" && typeof event.name === "string" &&
    Number.isFinite(event.ts) && Number.isFinite(event.dur);
  if (Array.isArray(events) && events.every(isEvent)) return events;
  throw new FormatError(`Profile "${path}" must be a list of events with category, name and times`);
}
