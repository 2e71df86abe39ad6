/** What is known of a job that came over HTTP: what is to be drawn and for whom, how far it is, and how it ended. @module */

import { FormatError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { JOB_KEPT_MS, type JobError } from "../../jobs/queue/job_record.ts";
import { type JobSpec, jobSpecFromJson, jobSpecToJson } from "../../jobs/job_spec.ts";

export const SERVED_STATES = [
  "queued",
  "running",
  "canceling",
  "succeeded",
  "failed",
  "canceled",
  "expired",
] as const;
export type ServedState = (typeof SERVED_STATES)[number];

export interface ServedJob {
  readonly id: string;
  readonly spec: JobSpec;
  readonly state: ServedState;
  /** Whom turns are counted for. */
  readonly client: string;
  /** Who may see it and cancel it: a token or an address. */
  readonly owner: string;
  /** Of the route that it came by, such as "v1". */
  readonly dialect: string;
  /** What the dialect needs to show it in its own form; as JSON. */
  readonly asked?: Readonly<Record<string, unknown>>;
  /** What it starts from; absent where that is noise alone. */
  readonly inputs?: JobInputs;
  /** Times in a row that it was begun without finishing one more step. */
  readonly attempts: number;
  readonly outputs: readonly JobOutput[];
  /** What of the prompts was cut or ignored, and the like. */
  readonly warnings: readonly string[];
  readonly error?: JobError;
  /** What a client said so that saying it twice does nothing more. */
  readonly idempotency?: IdempotentRequest;
  /** Milliseconds since 1970, like the others. */
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
}

/** Files that a job starts from, in the folder of pictures; removed when it has ended. */
export interface JobInputs {
  readonly image: string;
  readonly mask?: string;
}

export interface IdempotentRequest {
  readonly key: string;
  /** SHA-256 of the body, hex: the same key with another body is a mistake. */
  readonly bodyHash: string;
}

/** A picture that is there. */
export interface JobOutput {
  /** Of its file, which the job's id begins. */
  readonly name: string;
  readonly seed: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
  /** Of the file, hex. */
  readonly sha256: string;
}

/** Whether nothing will happen to it any more but that it expires. */
export function isEnded({ state }: Pick<ServedJob, "state">): boolean {
  return state !== "queued" && state !== "running" && state !== "canceling";
}

/** When an ended job's pictures and text are removed, ms since 1970. */
export function expiresAt({ endedAt }: ServedJob): number | undefined {
  return endedAt === undefined ? undefined : endedAt + JOB_KEPT_MS;
}

const VERSION = 1;

export function encodeServedJob({ spec, ...job }: ServedJob): string {
  return JSON.stringify({ version: VERSION, ...job, spec: jobSpecToJson(spec) });
}

/**
 * Checks what decides whether it is drawn; the rest is as this program wrote it.
 *
 * @throws {FormatError} if it is no job of this version
 */
export function decodeServedJob(text: string, where: string): ServedJob {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text) ?? {};
  } catch (cause) {
    throw new FormatError(`${where} must be JSON: ${(cause as Error).message}`, { cause });
  }
  const { version, spec, ...job } = json;
  if (version !== VERSION || !SERVED_STATES.some((state) => state === job.state)) {
    throw new FormatError(
      `${where} must have version ${VERSION} and a state of ${SERVED_STATES.join(", ")}: ` +
        `current values are ${show(version)} and ${show(job.state)}`,
    );
  }
  return { ...job, spec: jobSpecFromJson(spec, `${where}: "spec"`) } as unknown as ServedJob;
}
