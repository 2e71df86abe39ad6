/** The noise that an image starts from. @module */

import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { concatRows, type F32Tensor } from "../../shared/tensor/tensor.ts";

/**
 * Unit Gaussian noise, one generator per image, as `torch.randn` on the CPU with that seed draws it: the same
 * seed is the same image in other tools that draw on the CPU, whatever the batch.
 *
 * @param seeds one per image
 * @param shape `[4, H, W]`
 * @returns f32 `[B, 4, H, W]`
 */
export function initialLatents(seeds: readonly bigint[], shape: readonly number[]): F32Tensor {
  return concatRows(seeds.map((seed) => new TorchCpuGenerator(seed).randn([1, ...shape])));
}
