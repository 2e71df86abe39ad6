/**
 * Writes a checkpoint of full size with random weights, in the layouts that people have: for measuring time and memory
 * on files of that size. It draws noise, but every activation stays finite, in f16 too.
 *
 * @module
 */

import { statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { FormatError, throwIfAborted, TuttiError, UsageError } from "../../shared/errors.ts";
import type { Family } from "../../shared/models/families.ts";
import { parameterCount } from "../../shared/models/parameters.ts";
import { streamSafetensors } from "../../shared/safetensors/writer.ts";
import { byteLength, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import { diffusersFiles, type ModelPart } from "./model_parts.ts";
import { type FloatDType, RandomValues } from "./random_values.ts";

export interface RandomCheckpointOptions {
  /** A file, or a folder for the diffusers layout; it must not exist. */
  readonly path: string;
  readonly layout: "single" | "diffusers";
  readonly family: Family;
  readonly parts: readonly ModelPart[];
  readonly dtype: FloatDType;
  readonly seed: bigint;
  readonly signal?: AbortSignal;
  readonly onProgress?: (writtenBytes: number) => void;
}

/** One tensor of a file, and the diffusers tensors that it is made of. */
interface FileTensor {
  readonly name: string;
  readonly shape: Shape;
  readonly sources: readonly { readonly key: string; readonly shape: Shape }[];
  readonly isTransposed: boolean;
}

/**
 * @throws {UsageError} if the path exists
 * @throws {TuttiError} RESOURCE_EXHAUSTED if the disk has too little room, before anything is written
 */
export async function writeRandomCheckpoint(options: RandomCheckpointOptions): Promise<void> {
  const { path, layout, parts, dtype } = options;
  if (await exists(path)) {
    throw new UsageError(`"${path}" must not exist: this command overwrites nothing`);
  }
  await checkRoom(path, weightBytes(parts, dtype));
  const write = new TensorWriter(options);
  if (layout === "single") await write.file(path, parts.flatMap(inSingleFile));
  else await writeFolder(options, write);
}

/** Size of all weights together. */
export function weightBytes(parts: readonly ModelPart[], dtype: FloatDType): number {
  const shapes = parts.flatMap(({ parameters }) => [...parameters.values()]);
  return byteLength(dtype, [parameterCount(shapes)]);
}

/** The whole folder under a temporary name first, so that it never exists half. */
async function writeFolder(
  { path, family, parts }: RandomCheckpointOptions,
  write: TensorWriter,
): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await writeConfigs(temporary, parts);
    for (const [name, json] of Object.entries(diffusersFiles(family))) {
      await writeJson(join(temporary, name), json);
    }
    for (const part of parts) {
      await write.file(join(temporary, part.folder, part.file), inFolder(part));
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary, { recursive: true }).catch(() => {/* Never created. */});
    throw error;
  }
}

/** The parts' `config.json`s: for a single file of unusual sizes, a folder beside it. */
export async function writeConfigs(folder: string, parts: readonly ModelPart[]): Promise<void> {
  for (const part of parts) {
    await writeJson(join(folder, part.folder, "config.json"), part.config);
  }
}

async function writeJson(path: string, json: unknown): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, JSON.stringify(json, null, 2) + "\n");
  } catch (cause) {
    throw new TuttiError("UNKNOWN", `Cannot write "${path}": ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** Writes files of random values and counts their bytes. */
class TensorWriter {
  readonly #options: RandomCheckpointOptions;
  readonly #values: RandomValues;
  #writtenBytes = 0;

  constructor(options: RandomCheckpointOptions) {
    this.#options = options;
    this.#values = new RandomValues(options.seed, options.dtype);
  }

  async file(path: string, tensors: readonly FileTensor[]): Promise<void> {
    const { dtype } = this.#options;
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    const specs = tensors.map(({ name, shape }) => ({ name, dtype, shape }));
    const piecesOf = ({ name }: { readonly name: string }) => this.#pieces(byName.get(name)!);
    await streamSafetensors(path, specs, piecesOf, { format: "pt" });
  }

  *#pieces({ sources, isTransposed }: FileTensor): Generator<Tensor> {
    const { signal, onProgress } = this.#options;
    for (const { key, shape } of sources) {
      const pieces = isTransposed
        ? [this.#values.transposed(key, shape)]
        : this.#values.pieces(key, shape);
      for (const piece of pieces) {
        throwIfAborted(signal);
        yield piece;
        this.#writtenBytes += piece.data.byteLength;
        onProgress?.(this.#writtenBytes);
      }
    }
  }
}

function inFolder({ folder, parameters }: ModelPart): FileTensor[] {
  return [...parameters].map(([name, shape]) => ({
    name,
    shape,
    sources: [{ key: `${folder}/${name}`, shape }],
    isTransposed: false,
  }));
}

function inSingleFile({ folder, parameters, singleFile }: ModelPart): FileTensor[] {
  return singleFile.map(({ key, shape, sources, isTransposed }) => ({
    name: key,
    shape,
    sources: sources.map((source) => ({
      key: `${folder}/${source}`,
      shape: parameters.get(source)!,
    })),
    isTransposed,
  }));
}

async function checkRoom(path: string, neededBytes: number): Promise<void> {
  const folder = dirname(resolve(path));
  let freeBytes: number;
  try {
    const { bavail, bsize } = await statfs(folder);
    freeBytes = bavail * bsize;
  } catch (cause) {
    throw new FormatError(`Cannot write to folder "${folder}": ${(cause as Error).message}`, {
      cause,
    });
  }
  if (freeBytes >= neededBytes) return;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `Disk of "${path}" must have ${formatBytes(neededBytes)} free: it has ${
      formatBytes(freeBytes)
    }`,
  );
}
