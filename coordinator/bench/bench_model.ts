/**
 * The models that benchmarks run when the user names none: U-Nets of known sizes with random weights, written for the
 * benchmark and removed after it.
 *
 * @module
 */

import { join } from "node:path";
import type { Family } from "../../shared/models/families.ts";
import { parameterCount } from "../../shared/models/parameters.ts";
import { DTYPES } from "../../shared/tensor/dtype.ts";
import { isPublishedSize, modelConfigs, type ModelSize } from "../zoo/model_configs.ts";
import { type ModelPart, modelParts } from "../zoo/model_parts.ts";
import { weightBytes, writeConfigs, writeRandomCheckpoint } from "../zoo/random_checkpoint.ts";

interface NamedModel {
  readonly family: Family;
  readonly size: ModelSize;
  /** Why one measures with it. */
  readonly reason: string;
}

export const BENCH_MODELS = {
  sd15: {
    family: "sd15",
    size: {},
    reason: "the published size: what most people have, 3.4 GB each while it computes in f32",
  },
  "sd15-half": {
    family: "sd15",
    size: { scale: 0.5 },
    reason:
      "half of every width (160, 320, 640, 640 channels): six fit into 8 GB, and a block still " +
      "computes longer than its call takes to travel",
  },
  sdxl: {
    family: "sdxl",
    size: {},
    reason: "the published size: 10 GB each, another block table, transformers of depth 10",
  },
  toy: {
    family: "sd15",
    size: { scale: 0.05, depth: 1 },
    reason: "every part within seconds: shows that a benchmark runs, and says nothing about speed",
  },
} as const satisfies Record<string, NamedModel>;

export type BenchModelName = keyof typeof BENCH_MODELS;

export const BENCH_MODEL_NAMES = Object.keys(BENCH_MODELS) as BenchModelName[];

/** What community files hold. */
const DTYPE = "float16";

/** Files on disk, and the folder with their configs where they need one. */
export interface BenchModels extends AsyncDisposable {
  readonly paths: readonly string[];
  readonly configFrom?: string;
}

export interface RandomUNetOptions {
  /** Files, each with weights of its own. @default 1 */
  readonly count?: number;
  /** Told how many bytes of all files are written. */
  readonly onProgress?: (writtenBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Size of each file that `randomUNets()` writes. */
export function randomUNetBytes(name: BenchModelName): number {
  return weightBytes(unetPart(name), DTYPE);
}

/** What the weights take in memory while a CPU computes with them. */
export function computeBytes(name: BenchModelName): number {
  const shapes = unetPart(name).flatMap(({ parameters }) => [...parameters.values()]);
  return parameterCount(shapes) * DTYPES.float32.bytes;
}

/** @throws {TuttiError} RESOURCE_EXHAUSTED if the disk is too small */
export async function randomUNets(
  name: BenchModelName,
  { count = 1, onProgress, signal }: RandomUNetOptions = {},
): Promise<BenchModels> {
  const folder = await Deno.makeTempDir({ prefix: "tutti-bench-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  const { family, size } = BENCH_MODELS[name];
  const parts = unetPart(name);
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${name}-${i}.safetensors`));
  try {
    for (const [i, path] of paths.entries()) {
      await writeRandomCheckpoint({
        path,
        layout: "single",
        family,
        parts,
        dtype: DTYPE,
        seed: BigInt(i),
        ...(signal && { signal }),
        onProgress: (written) => onProgress?.(i * weightBytes(parts, DTYPE) + written),
      });
    }
    if (isPublishedSize(size)) return { paths, [Symbol.asyncDispose]: remove };
    await writeConfigs(folder, parts);
    return { paths, configFrom: folder, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

function unetPart(name: BenchModelName): ModelPart[] {
  const { family, size } = BENCH_MODELS[name];
  return modelParts(modelConfigs(family, size)).filter((part) => part.folder === "unet");
}
