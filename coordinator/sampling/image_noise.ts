/** The noise that images start from, and what samplers draw on the way. @module */

import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { concatRows, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Evaluation } from "./samplers/sampler.ts";

/**
 * Unit Gaussian noise, one generator per image, as `torch.randn` on the CPU with that seed draws it: the same
 * seed is the same image in other tools that draw on the CPU, whatever the batch.
 */
export class ImageNoise {
  readonly #generators: readonly TorchCpuGenerator[];
  readonly #shape: readonly number[];

  /**
   * @param seeds one per image
   * @param shape `[4, H, W]`
   */
  constructor(seeds: readonly bigint[], shape: readonly number[]) {
    this.#generators = seeds.map((seed) => new TorchCpuGenerator(seed));
    this.#shape = [1, ...shape];
  }

  /** The next draw of each image, f32 `[B, 4, H, W]`. The first one is what the images start from. */
  next(): F32Tensor {
    return concatRows(this.#generators.map((generator) => generator.randn(this.#shape)));
  }

  /** As many draws as one evaluation takes. */
  take({ noiseCount }: Evaluation): F32Tensor[] {
    return Array.from({ length: noiseCount }, () => this.next());
  }

  /** Leaves the draws of these evaluations behind: where a run goes on after them. */
  skip(evaluations: readonly Evaluation[]): void {
    for (const evaluation of evaluations) this.take(evaluation);
  }
}

/** What the images of these seeds start from, f32 `[B, 4, H, W]`. */
export function initialLatents(seeds: readonly bigint[], shape: readonly number[]): F32Tensor {
  return new ImageNoise(seeds, shape).next();
}
