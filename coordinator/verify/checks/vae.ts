/** The VAE on the coordinator: decoding and both moments of encoding. @module */

import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { FormatError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { Vae } from "../../sampling/vae.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext, Golden } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";

/** How a pair of the manifest (input, expected) is computed. */
const COMPUTE: Readonly<Record<string, (vae: Vae, input: F32Tensor) => Promise<F32Tensor>>> = {
  decoded: (vae, latents) => vae.decode(latents),
  mean: async (vae, image) => (await vae.encode(image)).mean,
  logvar: async (vae, image) => (await vae.encode(image)).logvar,
};

export async function checkVae(context: FamilyContext, spec: CheckSpec): Promise<Comparison[]> {
  const golden = await context.golden(spec);
  await using vae = await openFamilyVae(context);
  return await Promise.all((spec.pairs ?? []).map((pair) => checkPair(vae, golden, pair)));
}

async function checkPair(
  vae: Vae,
  golden: Golden,
  [input, expected]: readonly [string, string],
): Promise<Comparison> {
  const compute = COMPUTE[expected];
  if (!compute) {
    throw new FormatError(
      `A VAE pair must end in one of ${Object.keys(COMPUTE)}: current value is "${expected}"`,
    );
  }
  return compare(expected, await compute(vae, await golden.f32(input)), await golden.f32(expected));
}

/** The family's VAE, as the manifest names it. */
export async function openFamilyVae(context: FamilyContext): Promise<Vae> {
  const { vae } = context.manifest;
  if (vae === undefined) throw new FormatError(`Manifest of "${context.folder}" must name a "vae"`);
  return new Vae(await openVae(context.path(vae)), context.lane);
}
