/**
 * A run after one of its steps: what it needs to go on, here or on another coordinator, and what must be the same there
 * for the bits to be the same. As bytes it is one safetensors file that holds the latents and what else sampler and method remember.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { FormatError, TuttiError } from "../../shared/errors.ts";
import { readSafetensors } from "../../shared/safetensors/read_bytes.ts";
import { encodeSafetensors } from "../../shared/safetensors/writer.ts";
import { show } from "../../shared/show.ts";
import { bytesOf, type F32Tensor, type Tensor } from "../../shared/tensor/tensor.ts";
import type { MethodMemory } from "../sampling/methods/method.ts";
import type { SamplerState } from "../sampling/samplers/sampler.ts";
import { jobFields, type JobSpec, jobSpecFromJson, jobSpecToJson } from "./job_spec.ts";
import type { RunConditions } from "./prepare_job.ts";

export interface StepCheckpoint {
  readonly spec: JobSpec;
  /** Of the step that ended. */
  readonly stepIndex: number;
  /** After that step; all f32 `[B, 4, H, W]`. */
  readonly state: SamplerState;
  /** The method's, if it has one: f32, a row for each image. */
  readonly methodMemory?: MethodMemory;
  readonly conditions: RunConditions;
}

const FORMAT_VERSION = 2;
/** Version 1 held latents alone: all runs were DDIM's, which remembers nothing else. */
const READ_VERSIONS: readonly unknown[] = [1, FORMAT_VERSION];
const RECORD = "tutti.checkpoint", CHECKSUM = "tutti.sha256";
const LATENTS = "latents", MEMORY = "memory.", METHOD = "method.";

export function encodeCheckpoint(
  { spec, stepIndex, state: { latents, memory }, methodMemory = {}, conditions }: StepCheckpoint,
): Uint8Array<ArrayBuffer> {
  const record = { version: FORMAT_VERSION, stepIndex, spec: jobSpecToJson(spec), conditions };
  const prefixed = (prefix: string, memory: MethodMemory) =>
    Object.fromEntries(Object.entries(memory).map(([name, tensor]) => [prefix + name, tensor]));
  const tensors = {
    [LATENTS]: latents,
    ...prefixed(MEMORY, memory),
    ...prefixed(METHOD, methodMemory),
  };
  const text = JSON.stringify(record);
  return encodeSafetensors(tensors, {
    [RECORD]: text,
    [CHECKSUM]: checksum(text, Object.entries(tensors)),
  });
}

/** Hex; of the tensors in the order of their names. A bit that flipped on a disk would go on into every further step. */
function checksum(record: string, tensors: readonly (readonly [string, Tensor])[]): string {
  const hash = createHash("sha256").update(record);
  for (const [, tensor] of tensors.toSorted(([a], [b]) => a < b ? -1 : 1)) {
    hash.update(bytesOf(tensor));
  }
  return hash.digest("hex");
}

/**
 * @param where for errors: the file's path
 * @throws {FormatError} if the bytes are no checkpoint, or damaged
 */
export function decodeCheckpoint(bytes: Uint8Array<ArrayBuffer>, where: string): StepCheckpoint {
  const { tensors, metadata } = readSafetensors(bytes, where);
  const record = parseRecord(metadata[RECORD], where);
  // Earlier builds wrote none.
  const expected = metadata[CHECKSUM];
  const found = checksum(metadata[RECORD]!, [...tensors]);
  if (expected !== undefined && expected !== found) {
    throw new FormatError(
      `Checkpoint ${show(where)} is damaged: the SHA-256 of its content must be ${
        show(expected)
      }: ` +
        `current value is ${found}. Start the run anew`,
    );
  }
  const { version, stepIndex, conditions } = record;
  const latents = tensors.get(LATENTS);
  const spec = jobSpecFromJson(record.spec, `Checkpoint ${show(where)}: "spec"`);
  const others = [...tensors].filter(([name]) => name !== LATENTS);
  const isRead = READ_VERSIONS.includes(version) && isStepOf(spec, stepIndex) &&
    latents?.dtype === "float32" && latents.shape.length === 4 && isConditions(conditions) &&
    others.every(([name, tensor]) =>
      (name.startsWith(MEMORY) && isLike(tensor, latents)) ||
      (name.startsWith(METHOD) && hasRows(tensor, latents))
    );
  if (!isRead) {
    throw new FormatError(
      `Checkpoint ${show(where)} must have version ${
        READ_VERSIONS.join(" or ")
      }, "stepIndex" below ${spec.steps}, ` +
        `"conditions", f32 latents [B, 4, H, W], "${MEMORY}NAME" of that shape and f32 "${METHOD}NAME" [B, ...]: current version is ${
          show(version)
        }, ` +
        `stepIndex ${show(stepIndex)}, latents ${latents ? `[${latents.shape}]` : "absent"}`,
    );
  }
  const unprefixed = (prefix: string): Record<string, F32Tensor> =>
    Object.fromEntries(
      others.filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor as F32Tensor]),
    );
  const state = { latents: latents as F32Tensor, memory: unprefixed(MEMORY) };
  const methodMemory = unprefixed(METHOD);
  const hasMemory = Object.keys(methodMemory).length > 0;
  return { spec, stepIndex, state, ...(hasMemory && { methodMemory }), conditions };
}

function hasRows({ dtype, shape }: Tensor, latents: Tensor): boolean {
  return dtype === latents.dtype && shape[0] === latents.shape[0];
}

function isLike({ dtype, shape }: Tensor, other: Tensor): boolean {
  return dtype === other.dtype && shape.join() === other.shape.join();
}

/**
 * Holds a run that wants to go on against the one that the checkpoint is of.
 *
 * @throws {TuttiError} FAILED_PRECONDITION naming the first setting or condition that differs
 */
export function checkSameRun(
  checkpoint: StepCheckpoint,
  run: Pick<StepCheckpoint, "spec" | "conditions">,
): void {
  const [before, now] = [jobFields(checkpoint.spec), jobFields(run.spec)];
  for (const field of new Set([...Object.keys(before), ...Object.keys(now)])) {
    requireSame(field, before[field], now[field]);
  }
  const fields = [...Object.keys(checkpoint.conditions), ...Object.keys(run.conditions)];
  for (const field of new Set(fields)) {
    requireSame(field, checkpoint.conditions[field], run.conditions[field]);
  }
}

/** Whether an error is `checkSameRun()`'s refusal. */
export function isOtherRun(error: unknown): boolean {
  return error instanceof TuttiError && error.code === "FAILED_PRECONDITION" &&
    error.details.checkpoint !== undefined;
}

function requireSame(field: string, before: unknown, now: unknown): void {
  if (isDeepStrictEqual(before, now)) return;
  const [checkpoint, current] = [before, now].map((value) =>
    typeof value === "string" ? value : JSON.stringify(value) ?? "none"
  ) as [string, string];
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `The checkpoint is of another run: ${field} must be ${show(checkpoint)}: ` +
      `current value is ${show(current)}. Run with the same models and settings, or start anew`,
    { details: { field, checkpoint, current } },
  );
}

function parseRecord(text: string | undefined, where: string): Record<string, unknown> {
  try {
    const record = JSON.parse(text ?? "");
    if (typeof record === "object" && record !== null) return record;
  } catch {
    // Said below.
  }
  throw new FormatError(
    `Checkpoint ${show(where)} must have metadata "${RECORD}" with a JSON object: it has ${
      text === undefined ? "none" : show(text)
    }`,
  );
}

function isStepOf({ steps }: JobSpec, value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && 0 <= value && value < steps;
}

function isConditions(value: unknown): value is RunConditions {
  return typeof value === "object" && value !== null &&
    Object.values(value).every((entry) => typeof entry === "string");
}
