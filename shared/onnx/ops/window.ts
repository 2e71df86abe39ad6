/** Parts of images whose size only a run knows. @module */

import { ShapeError } from "../../errors.ts";
import { i64 } from "../../tensor/tensor.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { Add, Mul, Sub } from "./elementwise.ts";
import { ShapeOf, Slice } from "./movement.ts";

const HEIGHT_AND_WIDTH = [2, 3];

export interface WindowOptions {
  /** Row and column of its first pixel. @default [0, 0] */
  readonly start?: readonly [number, number];
  /** Every how many rows and columns a pixel is taken. @default 1 */
  readonly stride?: number;
}

/**
 * As many pixels of an image as another image has.
 *
 * @param x `[B, C, H, W]`, large enough
 * @param like `[B', C', H', W']`
 * @returns `[B, C, H', W']`
 * @throws {ShapeError} if one of the two is no image
 */
export function Window(
  g: GraphBuilder,
  x: Value,
  like: Value,
  { start = [0, 0], stride = 1 }: WindowOptions = {},
): Value {
  if (x.shape.length !== 4 || like.shape.length !== 4) {
    throw new ShapeError(`Cannot take a window of [${x.shape}] as large as [${like.shape}]`);
  }
  const pair = (values: readonly number[]) => g.constant(i64([2], values), "window");
  const size = Slice(g, ShapeOf(g, like), 0, 2, 4);
  // One past the last pixel: start + stride (size - 1) + 1.
  const steps = stride === 1 ? size : Mul(g, Sub(g, size, pair([1, 1])), pair([stride, stride]));
  const end = Add(g, steps, pair(start.map((first) => stride === 1 ? first : first + 1)));
  const bounds = [pair(start), end, pair(HEIGHT_AND_WIDTH), pair([stride, stride])];
  const shape = [x.shape[0]!, x.shape[1]!, like.shape[2]!, like.shape[3]!];
  return g.node("Slice", [x, ...bounds], [{ dtype: x.dtype, shape }])[0]!;
}
