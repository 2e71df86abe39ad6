/** What may lie in buckets and queues on NATS: announcements of workers, and jobs. @module */

import { jobSpecToJson, newJob } from "../../../coordinator/jobs/job_spec.ts";
import { readQueuedJob } from "../../../coordinator/jobs/queue/job_queue.ts";
import {
  decodeRecord,
  encodeRecord,
  type JobRecord,
  newRecord,
} from "../../../coordinator/jobs/queue/job_record.ts";
import {
  decodeAnnouncement,
  encodeAnnouncement,
} from "../../../shared/nats/worker_announcement.ts";
import { announcement } from "../../shared/nats/announcements.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import { mutateJson } from "../json_values.ts";

const JOB = newJob({ prompt: "a castle", seeds: [1n, 2n], ensemble: "castles" }, {
  steps: 20,
  size: { width: 64, height: 64 },
  waves: 2,
  wireDtype: "f16,OUT08=int8",
  aggregate: ["IN00", "M00"],
});
const RECORD: JobRecord = {
  ...newRecord("castle-1", JOB),
  ...{ state: "failed", coordinator: "gpu-1:4711", stepsDone: 3, fence: 12, endedAt: 5 },
  images: [{ path: "/out/castle-1.png", seed: "1", sha256: "0f" }],
  error: { kind: "WorkerError", code: "UNAVAILABLE", message: "lost" },
};

export function natsPayloads(): Promise<FuzzTarget> {
  const announced = announcement();
  const kinds: { seed: Uint8Array; read: (bytes: Uint8Array) => unknown }[] = [
    {
      seed: encodeAnnouncement(announced),
      read: (bytes) => decodeAnnouncement(announced.id, bytes),
    },
    {
      seed: new TextEncoder().encode(JSON.stringify({ id: "castle-1", spec: jobSpecToJson(JOB) })),
      read: (data) => readQueuedJob({ data, seq: 1 }),
    },
    {
      seed: new TextEncoder().encode(encodeRecord(RECORD)),
      read: (bytes) => decodeRecord(RECORD.id, bytes),
    },
  ];
  return Promise.resolve({
    name: "nats",
    seeds: kinds.map(({ seed }) => seed),
    alphabet: new TextEncoder().encode('0123456789-.eE[]{}:,"\\ nulltrefas_'),
    mutate: mutateJson,
    feed: (bytes, seed) => outcomeOf(() => kinds[seed]!.read(bytes)),
    feedGood: () => kinds.forEach(({ seed, read }) => void read(seed)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}
