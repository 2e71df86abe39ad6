/** How large a job is, and whether it is more than workers take. @module */

import { UsageError } from "../../shared/errors.ts";
import type { Shape } from "../../shared/tensor/tensor.ts";
import { checkSessionSize } from "../../shared/wire/check_limits.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { usesGuidance } from "../sampling/guidance.ts";
import { splitIntoWaves } from "../sampling/session/waves.ts";
import type { JobSpec } from "./job_spec.ts";

/** `[4, H, W]` in the job's size or the experts' own. */
export function latentShape({ experts, vae }: Ensemble, spec: JobSpec): Shape {
  const { latentChannels, sampleSize } = experts[0]!.description;
  const size = spec.size ?? { width: sampleSize * vae.factor, height: sampleSize * vae.factor };
  for (const [axis, pixels] of Object.entries(size)) {
    if (pixels < vae.factor || pixels % vae.factor !== 0) {
      const near = Math.max(1, Math.round(pixels / vae.factor)) * vae.factor;
      throw new UsageError(
        `--size must be a multiple of ${vae.factor}: current ${axis} is ${pixels}; ${near} is the nearest`,
      );
    }
  }
  return [latentChannels, size.height / vae.factor, size.width / vae.factor];
}

/**
 * Before noise is drawn, which may take more memory than there is: what workers would refuse is refused here.
 *
 * @param shape of one image's latents
 * @throws {TuttiError} INVALID_ARGUMENT naming what is too large
 */
export function checkFits(
  { experts }: Ensemble,
  { seeds, guidance }: JobSpec,
  { shape: [, height = 0, width = 0], waves }: { readonly shape: Shape; readonly waves: number },
): void {
  const parts = splitIntoWaves(seeds.length, usesGuidance(guidance) ? 2 : 1, waves);
  const batch = Math.max(...parts.map(({ start, end }) => end - start));
  for (const { limits } of experts) {
    if (limits) checkSessionSize(limits, { batch, height, width });
  }
}
