/** What jobs look like while they are drawn: made when somebody asks, once for each step. @module */

import { encodePng } from "../../image/png.ts";
import { latentPreview } from "../../sampling/latent_preview.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import type { LiveJob } from "./live_job.ts";
import type { ServedEnsembles } from "./served_ensembles.ts";

const made = new WeakMap<F32Tensor, Promise<readonly Uint8Array[]>>();

/** PNG files, one for each picture of the job; undefined before its first step. */
export async function jobPreviews(
  ensembles: ServedEnsembles,
  { denoised, job: { spec } }: LiveJob,
): Promise<readonly Uint8Array[] | undefined> {
  if (!denoised) return undefined;
  let files = made.get(denoised);
  if (!files) {
    const { vae } = ensembles.get(spec.ensemble).ensemble;
    files = latentPreview(vae, denoised).then((pictures) =>
      pictures.map((picture) => encodePng({ ...picture, text: {} }))
    );
    made.set(denoised, files);
  }
  return await files;
}
