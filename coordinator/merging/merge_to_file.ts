/** A merge from recipe to file: opens, hashes, and writes, with figures of what it took. @module */

import { basename } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import type { Family } from "../../shared/models/families.ts";
import { modelHash } from "../../shared/checkpoint/model_hash.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import type { FloatDType } from "../../shared/tensor/float64.ts";
import { type HashedInput, mergeMetadata } from "./merge_metadata.ts";
import type { MergeCounts } from "../../shared/merging/merged_model.ts";
import type { InputModel } from "../../shared/merging/model.ts";
import { ParameterError } from "../../shared/merging/parameter_error.ts";
import { type Merge, openMerge } from "../../shared/merging/recipe.ts";
import { mergeBytes, writeMerge } from "./write_merge.ts";

export interface MergeToFileOptions {
  readonly out: string;
  /** Whether a file that is there may be replaced; an input never is. @default false */
  readonly overwrite?: boolean;
  /** Files besides the models that must not be replaced. */
  readonly protectedFiles?: readonly string[];
  /** @default each tensor's widest dtype among the models */
  readonly dtype?: FloatDType;
  readonly signal?: AbortSignal;
  readonly onHash?: (name: string, sizeBytes: number) => void;
  /** Called when all is checked and hashed. @returns what is told of the bytes written */
  readonly onWrite?: (totalBytes: number) => (writtenBytes: number) => void;
}

export interface MergeReport extends MergeCounts {
  readonly family: Family;
  readonly sizeBytes: number;
  /** Time to hash the models; next to none for those that were hashed before. */
  readonly hashMs: number;
  /** Time to read, compute and write. */
  readonly mergeMs: number;
}

/**
 * @throws {ParameterError} if `out` is an input, or exists and may not be replaced
 * @throws {TuttiError} as `openMerge()` and `writeMerge()`; there is no output then
 */
export async function mergeToFile(
  merge: Merge,
  { out, overwrite = false, protectedFiles = [], dtype, signal, ...told }: MergeToFileOptions,
): Promise<MergeReport> {
  using opened = await openMerge(merge);
  const { model, inputs } = opened;
  const files = [...inputs.values()].flatMap(({ paths }) => paths);
  await checkOutput(out, [...files, ...protectedFiles], overwrite);
  const started = performance.now();
  const hashed = await hashInputs(inputs, signal, told.onHash);
  const hashedAt = performance.now();
  const sizeBytes = mergeBytes(model, dtype);
  const onProgress = told.onWrite?.(sizeBytes);
  await writeMerge(out, model, {
    metadata: mergeMetadata(merge, hashed),
    ...(dtype && { dtype }),
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
  return {
    ...model.counts,
    family: model.family,
    sizeBytes,
    hashMs: hashedAt - started,
    mergeMs: performance.now() - hashedAt,
  };
}

/** Two names of one file (links) are one file. */
async function checkOutput(
  out: string,
  inputs: readonly string[],
  overwrite: boolean,
): Promise<void> {
  if (!await exists(out)) return;
  const { dev, ino } = await Deno.stat(out);
  for (const input of inputs) {
    const found = await Deno.stat(input);
    if (found.dev !== dev || found.ino !== ino) continue;
    throw new ParameterError(
      "out",
      `must be another file than the inputs: ${show(out)} is ${show(input)}`,
    );
  }
  if (overwrite) return;
  throw new ParameterError(
    "out",
    `must not exist, unless "overwrite" is set: current value is ${show(out)}`,
  );
}

async function hashInputs(
  inputs: ReadonlyMap<string, InputModel>,
  signal: AbortSignal | undefined,
  onHash: MergeToFileOptions["onHash"],
): Promise<Map<string, HashedInput>> {
  const hashed = new Map<string, HashedInput>();
  for (const [path, model] of inputs) {
    throwIfAborted(signal);
    const sizes = await Promise.all(model.paths.map(async (file) => (await Deno.stat(file)).size));
    onHash?.(basename(path), sizes.reduce((sum, size) => sum + size, 0));
    hashed.set(path, { model, sha256: await modelHash(model.paths) });
  }
  return hashed;
}
