/** Jobs as ComfyUI's queue and history have them. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { Caller } from "../server/access.ts";
import type { JsonObject } from "../server/request_body.ts";
import { isEnded, type ServedJob } from "../store/served_job.ts";
import type { GraphNodes } from "./read_graph.ts";

export const DIALECT = "comfy";

/** What is kept of a request to show the job again. */
export interface ComfyAsked {
  readonly graph: JsonObject;
  readonly extraData: JsonObject;
  readonly clientId: string | null;
  readonly nodes: GraphNodes;
}

export function askedOf({ asked }: ServedJob): ComfyAsked {
  return asked as unknown as ComfyAsked;
}

/** Jobs of a caller that came by this dialect and have not ended, in the order in which they came. */
export function unfinishedOf(runtime: JobRuntime, { owner }: Pick<Caller, "owner">): ServedJob[] {
  return runtime.unfinished.map(({ job }) => job).filter((job) =>
    job.dialect === DIALECT && job.owner === owner && !isEnded(job)
  );
}

export function queueJson(runtime: JobRuntime, caller: Caller) {
  const jobs = unfinishedOf(runtime, caller);
  const [running, pending] = [false, true].map((isPending) =>
    jobs.filter(({ state }) => (state === "queued") === isPending).map(promptOf)
  );
  return { queue_running: running, queue_pending: pending };
}

/** Pictures by node: the same for each that gets them. */
export function outputsOf(job: ServedJob): Readonly<Record<string, unknown>> {
  const images = job.outputs.map(({ name }) => ({ filename: name, subfolder: "", type: "output" }));
  return Object.fromEntries(askedOf(job).nodes.outputs.map((node) => [node, { images }]));
}

/** One entry of `/history`. */
export function historyJson(job: ServedJob): JsonObject {
  const { id, state, error, startedAt, endedAt } = job;
  const data = { prompt_id: id };
  const messages = [
    ["execution_start", { ...data, timestamp: startedAt ?? job.createdAt }],
    state === "succeeded"
      ? ["execution_success", { ...data, timestamp: endedAt }]
      : state === "canceled"
      ? ["execution_interrupted", { ...data, timestamp: endedAt }]
      : ["execution_error", { ...data, exception_message: error?.message ?? state }],
  ];
  return {
    prompt: promptOf(job),
    outputs: outputsOf(job),
    status: {
      status_str: state === "succeeded" ? "success" : "error",
      completed: state === "succeeded",
      messages,
    },
    meta: {},
  };
}

/** Number, id, graph, further data, output nodes. */
function promptOf(job: ServedJob) {
  const { graph, extraData, nodes } = askedOf(job);
  return [job.createdAt, job.id, graph, extraData, nodes.outputs];
}
