import assert from "node:assert/strict";
import { linearPreview } from "../../../coordinator/sampling/latent_preview.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

Deno.test("linearPreview() weighs a latent pixel's channels for each colour, and clips", () => {
  // Two pictures of one row and two pixels, two channels.
  const latents = f32([2, 2, 1, 2], [1, 0, 0, -1, 0, 4, 0, 0]);
  const pictures = linearPreview([[1, 0.5, 0], [0, 0, -0.5]], latents);
  assert.deepEqual(pictures.map(({ width, height, rgb }) => [width, height, [...rgb]]), [
    [2, 1, [255, 191, 128, 128, 128, 191]],
    [2, 1, [128, 128, 128, 255, 255, 128]],
  ]);
});
