/** Pools over windows of an image. @module */

import { ShapeError } from "../../errors.ts";
import { convDim } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";

export interface PoolOptions {
  /** Pixels of a window on each side. */
  readonly kernel: number;
  /** @default 1 */
  readonly stride?: number;
  /** Pixels added on each side. @default 0 */
  readonly padding?: number;
}

/** The largest of each window; f32 `[B, C, H, W]` -> `[B, C, H', W']`. @throws {ShapeError} if x is no image */
export function MaxPool(g: GraphBuilder, x: Value, options: PoolOptions): Value {
  return pool(g, "MaxPool", x, options);
}

/** The mean of each window, of which what was added is no part. @throws {ShapeError} if x is no image */
export function AveragePool(g: GraphBuilder, x: Value, options: PoolOptions): Value {
  return pool(g, "AveragePool", x, options);
}

function pool(
  g: GraphBuilder,
  op: "MaxPool" | "AveragePool",
  x: Value,
  { kernel, stride = 1, padding = 0 }: PoolOptions,
): Value {
  const [batch, channels, height, width] = x.shape;
  if (x.shape.length !== 4) throw new ShapeError(`${op} needs an image: [${x.shape}]`);
  const shape = [
    batch!,
    channels!,
    convDim(height!, kernel, stride, padding, padding),
    convDim(width!, kernel, stride, padding, padding),
  ];
  return g.node(op, [x], [{ dtype: x.dtype, shape }], {
    attributes: {
      kernel_shape: { ints: [kernel, kernel] },
      strides: { ints: [stride, stride] },
      pads: { ints: [padding, padding, padding, padding] },
    },
  })[0]!;
}
