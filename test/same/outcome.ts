/** What a scenario gives: the numbers that two versions of Tutti must agree on. @module */

import { basename } from "node:path";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { elementCount, makeTensor, type Tensor } from "../../shared/tensor/tensor.ts";
import { readPng } from "../support/zoo.ts";

/** Tensors by name. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

/** By what they are: `pixels`, `latents`, `losses`. */
export type Outcome = Readonly<Record<string, NamedTensors>>;

/** How much of a kind there is. */
export interface Amount {
  readonly tensors: number;
  readonly values: number;
}

/** Reads pictures, each `[height, width, 3]`. Text chunks are left out: they hold names and versions. */
export async function readPixels(paths: readonly string[]): Promise<NamedTensors> {
  return new Map(
    await Promise.all(paths.map(async (path) => {
      const { width, height, rgb } = await readPng(path);
      const bytes = Uint8Array.from(rgb);
      return [basename(path), makeTensor("uint8", [height, width, 3], bytes)] as const;
    })),
  );
}

/** Reads all tensors of a safetensors file. Its metadata is left out: it holds names and versions. */
export async function readTensors(path: string): Promise<NamedTensors> {
  const file = await SafetensorsFile.open(path);
  return await file.readMany(file.entries.keys());
}

/** Makes a row of numbers a tensor, with all bits that JSON has. */
export function numbers(values: readonly number[]): Tensor {
  return makeTensor("float64", [values.length], Float64Array.from(values));
}

export function amounts(outcome: Outcome): Record<string, Amount> {
  return Object.fromEntries(
    Object.entries(outcome).map(([kind, tensors]) => {
      const counts = [...tensors.values()].map(({ shape }) => elementCount(shape));
      const values = counts.reduce((sum, count) => sum + count, 0);
      return [kind, { tensors: tensors.size, values }];
    }),
  );
}
