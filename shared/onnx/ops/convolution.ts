/** Convolution, and its transpose. @module */

import { ShapeError } from "../../errors.ts";
import { convDim, type Dim } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { checkOneDtype } from "./one_dtype.ts";

export interface ConvOptions {
  readonly stride?: number;
  /** `[top, left, bottom, right]` in pixels. */
  readonly pads?: readonly [number, number, number, number];
}

/**
 * 2-D convolution.
 *
 * @param x f32 `[B, C, H, W]`
 * @param weight f32 `[M, C, k, k]`
 * @param bias f32 `[M]`
 * @returns f32 `[B, M, H', W']`
 * @throws {ShapeError} if channels, ranks or dtypes do not fit
 */
export function Conv(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  bias: Value | undefined,
  { stride = 1, pads = [0, 0, 0, 0] }: ConvOptions = {},
): Value {
  checkOneDtype("Conv", x, weight, bias);
  const [batch, channels, height, width] = x.shape;
  const [outChannels, inChannels, kernelH, kernelW] = weight.shape;
  if (x.shape.length !== 4 || weight.shape.length !== 4 || channels !== inChannels) {
    throw new ShapeError(`Conv of [${x.shape}] needs weights of its channels: [${weight.shape}]`);
  }
  if (bias && bias.shape.join() !== String(outChannels)) {
    throw new ShapeError(`Conv of ${outChannels} output channels has a bias of [${bias.shape}]`);
  }
  const [top, left, bottom, right] = pads;
  const shape = [
    batch!,
    outChannels!,
    convDim(height!, kernelH as number, stride, top, bottom),
    convDim(width!, kernelW as number, stride, left, right),
  ];
  return g.node("Conv", [x, weight, ...(bias ? [bias] : [])], [{ dtype: x.dtype, shape }], {
    attributes: {
      kernel_shape: { ints: [kernelH as number, kernelW as number] },
      strides: { ints: [stride, stride] },
      pads: { ints: pads },
    },
  })[0]!;
}

export interface ConvTransposeOptions extends ConvOptions {
  /** Pixels at the bottom and right that a convolution of that stride would not have reached. @default 0 */
  readonly outputPadding?: number;
}

/**
 * The transpose of `Conv` as a linear map of x: for every pixel, the sum of what it gave to.
 *
 * @param x f32 `[B, M, H', W']`
 * @param weight f32 `[M, C, k, k]`, as `Conv` takes it
 * @param outputDims H and W, which the run then has: `stride (H' - 1) + k - pads + outputPadding`
 * @returns f32 `[B, C, H, W]`
 * @throws {ShapeError} if channels, ranks or dtypes do not fit
 */
export function ConvTranspose(
  g: GraphBuilder,
  x: Value,
  weight: Value,
  outputDims: readonly [Dim, Dim],
  { stride = 1, pads = [0, 0, 0, 0], outputPadding = 0 }: ConvTransposeOptions = {},
): Value {
  checkOneDtype("ConvTranspose", x, weight);
  const [batch, channels] = x.shape;
  const [inChannels, outChannels, kernelH, kernelW] = weight.shape;
  if (x.shape.length !== 4 || weight.shape.length !== 4 || channels !== inChannels) {
    throw new ShapeError(
      `ConvTranspose of [${x.shape}] needs weights of its channels: [${weight.shape}]`,
    );
  }
  const shape = [batch!, outChannels!, ...outputDims];
  return g.node("ConvTranspose", [x, weight], [{ dtype: x.dtype, shape }], {
    attributes: {
      kernel_shape: { ints: [kernelH as number, kernelW as number] },
      strides: { ints: [stride, stride] },
      pads: { ints: pads },
      output_padding: { ints: [outputPadding, outputPadding] },
    },
  })[0]!;
}
