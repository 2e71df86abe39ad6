/** torch's CPU noise. Tensors are `seed N, draw K`. @module */

import { TorchCpuGenerator } from "../../../shared/tensor/torch_randn.ts";
import { f32, type Shape } from "../../../shared/tensor/tensor.ts";
import { compare, type Comparison } from "../check.ts";

interface NoiseCases {
  readonly cases: readonly {
    readonly seed: number;
    readonly draws: readonly { readonly shape: Shape; readonly values: readonly number[] }[];
  }[];
}

export async function checkNoise(path: string): Promise<Comparison[]> {
  const { cases } = JSON.parse(await Deno.readTextFile(path)) as NoiseCases;
  return cases.flatMap(({ seed, draws }) => {
    const generator = new TorchCpuGenerator(seed);
    return draws.map(({ shape, values }, k) =>
      compare(`seed ${seed}, draw ${k}`, generator.randn(shape), f32(shape, values))
    );
  });
}
