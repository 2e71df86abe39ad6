/**
 * Convolution as one matrix product over all rows of a batch. The runtime's own convolution makes one product per row, which for an
 * image of few pixels is nearly a product with a vector: it reads all weights for each row. Here they are read once.
 *
 * @module
 */

import { i64 } from "../../tensor/tensor.ts";
import type { GraphShape } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { Gemm } from "./linalg.ts";
import { Concat, Pad, Reshape, Transpose } from "./movement.ts";

/** As `Conv` has them. */
export interface PatchForm {
  readonly kernel: number;
  readonly stride: number;
  /** `[top, left, bottom, right]` */
  readonly pads: readonly [number, number, number, number];
}

/** Pixels of an image up to which one product over the batch is the faster one. */
const FEW_PIXELS = 256;

/** Whether an image `[B, C, H, W]` has known sizes and few pixels. */
export function hasFewPixels([batch, , height, width]: GraphShape): boolean {
  return typeof batch === "number" && typeof height === "number" && typeof width === "number" &&
    height * width <= FEW_PIXELS;
}

/** `[B, C, H, W]` -> `[B, H, W, C]` */
export function channelsLast(g: GraphBuilder, x: Value): Value {
  return Transpose(g, x, [0, 2, 3, 1]);
}

/**
 * Of every pixel of a convolution's output: the pixels of its input that it is made of, in the order of the kernel's rows and
 * columns, channels innermost.
 *
 * @param x `[B, C, H, W]`, all known
 * @param size height and width of the output
 * @returns `[B H' W', k k C]`
 */
export function Patches(
  g: GraphBuilder,
  x: Value,
  size: readonly [number, number],
  { kernel, stride, pads: [top, left, bottom, right] }: PatchForm,
): Value {
  const width = kernel ** 2 * (x.shape[1] as number);
  const image = channelsLast(g, x);
  const padded = top + left + bottom + right === 0
    ? image
    : Pad(g, image, [0, top, left, 0], [0, bottom, right, 0]);
  if (kernel === 1 && stride === 1) return Reshape(g, padded, [-1, width]);
  const offsets = Array.from({ length: kernel }, (_, i) => i);
  const met = offsets.flatMap((row) =>
    offsets.map((column) => pixelsFrom(g, padded, [row, column], size, stride))
  );
  return Reshape(g, Concat(g, met, 3), [-1, width]);
}

/** Every `stride`-th pixel of an image with channels last, `size` of them. */
function pixelsFrom(
  g: GraphBuilder,
  x: Value,
  start: readonly [number, number],
  size: readonly [number, number],
  stride: number,
): Value {
  const end = start.map((first, axis) => first + stride * (size[axis]! - 1) + 1);
  const bounds = [start, end, [1, 2], [stride, stride]].map((pair) =>
    g.constant(i64([2], pair), "window")
  );
  const shape = [x.shape[0]!, ...size, x.shape[3]!];
  return g.node("Slice", [x, ...bounds], [{ dtype: x.dtype, shape }])[0]!;
}

/** A convolution's weight `[M, C, k, k]` as a matrix that fits `Patches()`: `[M, k k C]`. */
export function patchMatrix(g: GraphBuilder, weight: Value): Value {
  const [outChannels] = weight.shape as readonly number[];
  const [, , kernel] = weight.shape;
  return Reshape(g, kernel === 1 ? weight : channelsLast(g, weight), [outChannels!, -1]);
}

/**
 * `Conv` of an image of known size.
 *
 * @param shape of the output, `[B, M, H', W']`
 */
export function ConvByPatches(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value | undefined,
  form: PatchForm,
  shape: readonly number[],
): Value {
  const [batch, outChannels, height, width] = shape as [number, number, number, number];
  const patches = Patches(g, x, [height, width], form);
  const rows = Gemm(g, patches, patchMatrix(g, weight), bias);
  return Transpose(g, Reshape(g, rows, [batch, height, width, outChannels]), [0, 3, 1, 2]);
}
