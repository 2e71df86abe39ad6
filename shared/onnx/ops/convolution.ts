/** Convolution. @module */

import { ShapeError } from "../../errors.ts";
import { convDim } from "../dim.ts";
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
