/**
 * What is known of a job of the queue: what it is, how far it is and with whom, and how it ended. Written by whoever
 * submits it and by the coordinator that has it, read by all.
 *
 * @module
 */

import { type Code, CODES, FormatError, type TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { type JobSpec, jobSpecFromJson, jobSpecToJson } from "../job_spec.ts";

export const JOB_STATES = ["queued", "running", "done", "failed", "cancelled"] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface JobRecord {
  readonly id: string;
  readonly spec: JobSpec;
  readonly state: JobState;
  /** Steps whose checkpoint is kept. */
  readonly stepsDone: number;
  /** Who has it, or had it last. */
  readonly coordinator?: string;
  /** Of the owner that wrote last: an owner with a lower one has nothing to write any more. */
  readonly fence: number;
  /** Times in a row that a coordinator took it and finished no further step. */
  readonly attempts: number;
  readonly isCancelWanted: boolean;
  readonly images: readonly StoredImage[];
  /** Why the last attempt, or the job, failed. */
  readonly error?: JobError;
  /** Milliseconds since 1970. */
  readonly submittedAt: number;
  readonly endedAt?: number;
}

/** An image in the folder of the coordinator that drew it. */
export interface StoredImage {
  readonly path: string;
  readonly seed: string;
  /** Of the file, hex. */
  readonly sha256: string;
}

export interface JobError {
  /** Class of the error, such as "UsageError". */
  readonly kind: string;
  readonly code: Code;
  readonly message: string;
}

/** How long a job that nobody touches any more can be read, with its checkpoint and pictures, ms. */
export const JOB_KEPT_MS = 7 * 24 * 3_600_000;

const JOB_ID = /^[A-Za-z0-9_-]{1,64}$/;
export const JOB_ID_RULE = '1 to 64 letters, digits, "_" and "-"';
const VERSION = 1;

export function isJobId(text: unknown): text is string {
  return typeof text === "string" && JOB_ID.test(text);
}

export function newRecord(id: string, spec: JobSpec): JobRecord {
  return {
    ...{ id, spec, state: "queued", stepsDone: 0, fence: 0, attempts: 0 },
    ...{ isCancelWanted: false, images: [], submittedAt: Date.now() },
  };
}

/** Whether nothing will happen to it any more. */
export function isOver({ state }: JobRecord): boolean {
  return state === "done" || state === "failed" || state === "cancelled";
}

export function jobError(error: TuttiError): JobError {
  return { kind: error.name, code: error.code, message: error.message.slice(0, 2000) };
}

export function recordToJson({ spec, ...record }: JobRecord): Readonly<Record<string, unknown>> {
  return { version: VERSION, ...record, spec: jobSpecToJson(spec) };
}

export function encodeRecord(record: JobRecord): string {
  return JSON.stringify(recordToJson(record));
}

/** @throws {FormatError} if the bytes are no record */
export function decodeRecord(key: string, bytes: Uint8Array): JobRecord {
  const where = `Record of job ${show(key)}`;
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch (cause) {
    throw new FormatError(`${where} must be JSON: ${(cause as Error).message}`, { cause });
  }
  const wrong = Object.entries(CHECKS).find(([field, isRight]) => !isRight(json[field]));
  if (wrong) {
    throw new FormatError(`${where}: "${wrong[0]}" is wrong: ${show(json[wrong[0]])}`, {
      details: { job: key.slice(0, 64), field: wrong[0] },
    });
  }
  const { version: _, spec, ...record } = json;
  return { ...record, spec: jobSpecFromJson(spec, `${where}: "spec"`) } as unknown as JobRecord;
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown) => typeof value === "string";
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const CHECKS: Readonly<Record<string, (value: unknown) => boolean>> = {
  version: (value) => value === VERSION,
  id: isJobId,
  state: (value) => JOB_STATES.some((state) => state === value),
  stepsDone: isCount,
  coordinator: (value) => value === undefined || isText(value),
  fence: isCount,
  attempts: isCount,
  isCancelWanted: (value) => typeof value === "boolean",
  images: (value) =>
    Array.isArray(value) &&
    value.every((image) =>
      isObject(image) && ["path", "seed", "sha256"].every((key) => isText(image[key]))
    ),
  error: (value) =>
    value === undefined ||
    isObject(value) && isText(value.kind) && isText(value.message) &&
      Object.hasOwn(CODES, String(value.code)),
  submittedAt: isCount,
  endedAt: (value) => value === undefined || isCount(value),
};
