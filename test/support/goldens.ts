/**
 * The reference numbers of `test/goldens` as tensors, and the measure by which ours are held against them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { difference } from "../../shared/tensor/compare.ts";
import { type F32Tensor, type Tensor, toFloat32 } from "../../shared/tensor/tensor.ts";

/** `forward` of the manifests. */
export const TOLERANCE = 1e-4;

/** A file or folder of the reference numbers. */
export function goldenPath(...path: readonly string[]): string {
  return join(import.meta.dirname!, "../goldens", ...path);
}

/** All tensors of one reference file. */
export class Golden {
  readonly #tensors: ReadonlyMap<string, Tensor>;

  private constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.#tensors = tensors;
  }

  static async read(...path: readonly string[]): Promise<Golden> {
    const file = await SafetensorsFile.open(goldenPath(...path));
    return new Golden(await file.readMany(file.entries.keys()));
  }

  get names(): string[] {
    return [...this.#tensors.keys()];
  }

  tensor(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    assert.ok(tensor, `the reference file has no "${name}"`);
    return tensor;
  }

  f32(name: string): F32Tensor {
    return toFloat32(this.tensor(name));
  }

  numbers(name: string): number[] {
    return Array.from(this.tensor(name).data as ArrayLike<number | bigint>, Number);
  }
}

/** Fails unless the shapes are equal and the relative L2 distance is within the tolerance. */
export function assertClose(
  name: string,
  actual: F32Tensor,
  expected: F32Tensor,
  tolerance = TOLERANCE,
): void {
  assert.deepEqual([...actual.shape], [...expected.shape], `shape of ${name}`);
  const { relativeL2, maxAbs, worstIndex } = difference(actual.data, expected.data);
  assert.ok(
    relativeL2 <= tolerance,
    `${name}: relative L2 ${relativeL2} (largest ${maxAbs} at ${worstIndex}) exceeds ${tolerance}`,
  );
}

/** Fails if the two are as good as equal: for knobs that must turn something. */
export function assertFar(name: string, a: F32Tensor, b: F32Tensor, distance = 1e-2): void {
  const { relativeL2 } = difference(a.data, b.data);
  assert.ok(relativeL2 > distance, `${name}: relative L2 ${relativeL2} is not above ${distance}`);
}
