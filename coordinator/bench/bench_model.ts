/**
 * The model that a benchmark runs: the user's, or a U-Net of a family's published size with random weights, written for
 * the benchmark and removed after it.
 *
 * @module
 */

import { join } from "node:path";
import type { Family } from "../../shared/checkpoint/family.ts";
import { modelConfigs } from "../zoo/model_configs.ts";
import { type ModelPart, modelParts } from "../zoo/model_parts.ts";
import { weightBytes, writeRandomCheckpoint } from "../zoo/random_checkpoint.ts";

export interface BenchModel extends AsyncDisposable {
  readonly path: string;
}

/** What community files hold. */
const DTYPE = "float16";

/** Size of the file that `randomUNet()` writes. */
export function randomUNetBytes(family: Family): number {
  return weightBytes(unetPart(family), DTYPE);
}

/** @param onProgress told how many bytes are written */
export async function randomUNet(
  family: Family,
  onProgress: (writtenBytes: number) => void,
  signal?: AbortSignal,
): Promise<BenchModel> {
  const folder = await Deno.makeTempDir({ prefix: "tutti-bench-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  const path = join(folder, `${family}-random.safetensors`);
  try {
    await writeRandomCheckpoint({
      path,
      layout: "single",
      family,
      parts: unetPart(family),
      dtype: DTYPE,
      seed: 0n,
      ...(signal && { signal }),
      onProgress,
    });
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: remove };
}

function unetPart(family: Family): ModelPart[] {
  return modelParts(modelConfigs(family)).filter((part) => part.folder === "unet");
}
