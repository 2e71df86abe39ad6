/** What may lie in buckets and queues on NATS: announcements of workers, and jobs. @module */

import { jobSpecFromJson, jobSpecToJson } from "../../../coordinator/jobs/job_spec.ts";
import { FormatError } from "../../../shared/errors.ts";
import {
  decodeAnnouncement,
  encodeAnnouncement,
} from "../../../shared/nats/worker_announcement.ts";
import { announcement } from "../../shared/nats/announcements.ts";
import { type FuzzTarget, outcomeOf } from "../fuzz.ts";
import { mutateJson } from "../json_values.ts";

const JOB = jobSpecToJson({
  ...{ prompt: "a castle", negative: "", promptSyntax: "a1111", clipSkip: 1, steps: 20 },
  ...{ guidance: 7.5, seeds: [1n, 2n], size: { width: 64, height: 64 }, waves: 2 },
  ...{ wireDtype: "f16,OUT08=int8", aggregate: ["IN00", "M00"], ensemble: "castles" },
});

export function natsPayloads(): Promise<FuzzTarget> {
  const announced = announcement();
  const kinds: { seed: Uint8Array; read: (bytes: Uint8Array) => unknown }[] = [
    {
      seed: encodeAnnouncement(announced),
      read: (bytes) => decodeAnnouncement(announced.id, bytes),
    },
    { seed: new TextEncoder().encode(JSON.stringify(JOB)), read: readJob },
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

function readJob(bytes: Uint8Array): unknown {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError("A job must be JSON in UTF-8", { cause });
  }
  return jobSpecFromJson(json, "Job");
}
