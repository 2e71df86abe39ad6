/**
 * What the network of FID, KID and IS sees of a picture, in the three ways of three programs, whose numbers differ: a FID is
 * worth something beside others of the same way only.
 *
 * @module
 */

import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { BICUBIC } from "../../image/resample.ts";
import { resize, type RgbImage } from "../../image/resize.ts";

export const INCEPTION_WAYS = ["fid", "fid-clean", "fid-tf"] as const;
export type InceptionWay = typeof INCEPTION_WAYS[number];

/** Pixels on each side, whatever the picture's shape. */
const SIZE = 299;

/** f32 `[3, 299, 299]`, about -1..1. */
export function inceptionPixels(image: RgbImage, way: InceptionWay): F32Tensor {
  switch (way) {
    case "fid":
      // pytorch-fid: RGB / 255, bilinear with half-pixel centres and no antialiasing, 2 x - 1.
      return bilinear(image, (i, scale) => Math.max(0, (i + 0.5) * scale - 0.5), toUnitTwice);
    case "fid-tf":
      // torch-fidelity: TensorFlow 1's bilinear, without half-pixel centres.
      return bilinear(image, (i, scale) => i * scale, toTensorFlow);
    case "fid-clean": {
      // clean-fid: Pillow's bicubic in floats.
      const { rgb } = resize(image, SIZE, SIZE, BICUBIC);
      return planes(rgb, (value) => toTensorFlow(Math.min(255, Math.max(0, value))));
    }
  }
}

const toUnitTwice = (value: number) => 2 * (value / 255) - 1;
const toTensorFlow = (value: number) => (value - 128) / 128;

function bilinear(
  { width, height, rgb }: RgbImage,
  sourceOf: (i: number, scale: number) => number,
  convert: (value: number) => number,
): F32Tensor {
  const [columns, rows] = [width, height].map((side) =>
    Array.from({ length: SIZE }, (_, i) => {
      const position = sourceOf(i, side / SIZE);
      const below = Math.min(Math.floor(position), side - 1);
      return { below, above: Math.min(below + 1, side - 1), share: position - below };
    })
  );
  const resized = new Float64Array(SIZE * SIZE * 3);
  rows!.forEach((y, j) =>
    columns!.forEach((x, i) => {
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number) => rgb[(row * width + column) * 3 + c]!;
        const upper = at(y.below, x.below) * (1 - x.share) + at(y.below, x.above) * x.share;
        const lower = at(y.above, x.below) * (1 - x.share) + at(y.above, x.above) * x.share;
        resized[(j * SIZE + i) * 3 + c] = upper * (1 - y.share) + lower * y.share;
      }
    })
  );
  return planes(resized, convert);
}

/** From channels last to channels first. */
function planes(rgb: ArrayLike<number>, convert: (value: number) => number): F32Tensor {
  const pixels = f32([3, SIZE, SIZE]);
  const plane = SIZE * SIZE;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) pixels.data[c * plane + i] = convert(rgb[i * 3 + c]!);
  }
  return pixels;
}
