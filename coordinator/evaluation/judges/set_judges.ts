/** Distances of sets of pictures on the features of networks that were made for it. @module */

import { type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import { frechetDistance } from "../metrics/frechet_distance.ts";
import { gaussianOf } from "../metrics/gaussian.ts";
import { kid } from "../metrics/kernel_distance.ts";
import { mind } from "../metrics/mind.ts";
import type { Dinov2Network } from "../networks/dinov2.ts";
import type { InceptionNetwork } from "../networks/inception.ts";
import { INCEPTION_WAYS, inceptionPixels } from "../preprocessing/inception_pixels.ts";
import { IMAGENET_STATISTICS, normalize, stack } from "../preprocessing/normalize.ts";
import { squashed } from "../preprocessing/square_pixels.ts";
import type { SetJudge } from "./judge.ts";

/** Pixels that DINOv2 sees on each side. */
const DINO_SIZE = 224;

/** FID in its three ways, KID and MIND; the latter two on the features of `fid-tf`, as torch-fidelity has them. */
export function inceptionJudge(network: InceptionNetwork): SetJudge {
  const featuresOf = (set: readonly F32Tensor[]) => set[INCEPTION_WAYS.indexOf("fid-tf")]!;
  return {
    names: [...INCEPTION_WAYS.map((way) => way.toUpperCase()), "KID", "MIND"],
    features: async (image) => {
      const pictures = stack(INCEPTION_WAYS.map((way) => inceptionPixels(image, way)));
      const { pool3 } = await network.run(pictures);
      return INCEPTION_WAYS.map((_, i) => sliceRows(pool3, i, i + 1));
    },
    against: (real) => {
      const gaussians = real.map(gaussianOf);
      return (fake) => [
        ...gaussians.map((gaussian, i) => frechetDistance(gaussian, gaussianOf(fake[i]!))),
        kid(featuresOf(real), featuresOf(fake)).mean,
        sameSize(featuresOf(real), featuresOf(fake), mind),
      ];
    },
  };
}

/** FD-DINOv2, with pictures squashed as its paper's code does. */
export function dinov2Judge(network: Dinov2Network): SetJudge {
  return {
    names: ["FD-DINOv2"],
    features: async (image) => {
      const pixels = normalize(squashed(image, DINO_SIZE), IMAGENET_STATISTICS);
      return [await network.features(stack([pixels]))];
    },
    against: ([real]) => {
      const gaussian = gaussianOf(real!);
      return ([fake]) => [frechetDistance(gaussian, gaussianOf(fake!))];
    },
  };
}

/** Of the first pictures of the larger set: ranks are compared, so there must be as many of both. */
function sameSize(
  real: F32Tensor,
  fake: F32Tensor,
  distance: (real: F32Tensor, fake: F32Tensor) => number,
): number {
  const n = Math.min(real.shape[0]!, fake.shape[0]!);
  return distance(sliceRows(real, 0, n), sliceRows(fake, 0, n));
}
