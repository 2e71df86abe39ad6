/**
 * Derivatives of convolutions. With stride 1 the gradient of the input is a convolution again; with another it is the transposed
 * convolution, which takes 1.3 to 1.8 times as long on the CPU. The gradient of the weights is one matrix product per row of
 * the batch over the image's shifted copies: half the time of a convolution with swapped axes. Of images with few pixels it is one
 * product over the whole batch.
 *
 * @module
 */

import { addDims, type Dim, mulDims } from "../dim.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { Conv, ConvTranspose } from "../ops/convolution.ts";
import { MatMul } from "../ops/linalg.ts";
import { Concat, Flip, Pad, Reshape, Transpose } from "../ops/movement.ts";
import { ReduceSum } from "../ops/reduction.ts";
import { channelsLast, hasFewPixels, Patches } from "../ops/patches.ts";
import { Window } from "../ops/window.ts";
import { transposed } from "./linalg.ts";
import { intsAttribute, type PrimalNode, unsupported, type VjpRule } from "./rule.ts";

interface ConvForm {
  readonly x: Value;
  /** `[M, C, k, k]` */
  readonly weight: Value;
  readonly kernel: number;
  readonly stride: number;
  /** `[top, left, bottom, right]` */
  readonly pads: readonly [number, number, number, number];
}

export const conv: VjpRule = (g, node, [dy]) => {
  const form = formOf(node);
  return [
    () => inputCotangent(g, form, dy),
    () =>
      hasFewPixels(dy.shape) && hasFewPixels(form.x.shape)
        ? weightCotangentOverBatch(g, form, dy)
        : weightCotangent(g, form, dy),
    () => ReduceSum(g, dy, [0, 2, 3], { keepdims: false }),
  ];
};

function formOf(node: PrimalNode): ConvForm {
  const [x, weight] = node.inputs;
  const [kernel, kernelW] = intsAttribute(node, "kernel_shape");
  const [stride, strideW] = intsAttribute(node, "strides");
  if (kernel !== kernelW || stride !== strideW) {
    throw unsupported("Conv", "kernels or strides that are not square");
  }
  const pads = intsAttribute(node, "pads") as readonly number[] as ConvForm["pads"];
  return { x: x!, weight: weight!, kernel: kernel!, stride: stride!, pads };
}

/** `[B, C, H, W]` */
function inputCotangent(
  g: GraphBuilder,
  { x, weight, kernel, stride, pads }: ConvForm,
  dy: Value,
): Value {
  const [top, left, bottom, right] = pads;
  const far = kernel - 1;
  if (stride === 1 && top + bottom === far && left + right === far) {
    // x[p] went to y[p + pad - i] by weight i: in <-> out channels, the kernel from its other end, the rest of the padding.
    const swapped = Transpose(g, weight, [1, 0, 2, 3]);
    const flipped = kernel === 1 ? swapped : Flip(g, swapped, [2, 3]);
    return Conv(g, dy, flipped, undefined, { pads: [bottom, right, top, left] });
  }
  // Several sizes of x give one size of y: the largest of them, cut to the one that it was.
  const largest = (size: Dim, padding: number) => addDims(mulDims([stride, size]), far - padding);
  const dims = [largest(dy.shape[2]!, top + bottom), largest(dy.shape[3]!, left + right)] as const;
  const outputPadding = stride - 1;
  return Window(g, ConvTranspose(g, dy, weight, dims, { stride, pads, outputPadding }), x);
}

/** `[M, C, k, k]` */
function weightCotangent(
  g: GraphBuilder,
  { x, weight, kernel, stride, pads: [top, left, bottom, right] }: ConvForm,
  dy: Value,
): Value {
  const [outChannels, channels] = weight.shape as readonly number[];
  const padded = top + left + bottom + right === 0
    ? x
    : Pad(g, x, [0, 0, top, left], [0, 0, bottom, right]);
  const offsets = Array.from({ length: kernel }, (_, i) => i);
  // Of every weight's place in the kernel: the pixels that it met, one per pixel of y.
  const met = kernel === 1 && stride === 1
    ? [padded]
    : offsets.flatMap((row) =>
      offsets.map((column) => Window(g, padded, dy, { start: [row, column], stride }))
    );
  const stacked = met.length === 1 ? padded : Concat(g, met, 1);
  const columns = Reshape(g, stacked, [0, kernel ** 2 * channels!, -1]);
  const rows = Reshape(g, dy, [0, outChannels!, -1]);
  const product = ReduceSum(g, MatMul(g, rows, transposed(g, columns)), [0], { keepdims: false });
  const placed = Reshape(g, product, [outChannels!, kernel, kernel, channels!]);
  return Transpose(g, placed, [0, 3, 1, 2]);
}

/** The same as one product over the batch. */
function weightCotangentOverBatch(
  g: GraphBuilder,
  { x, weight, kernel, stride, pads }: ConvForm,
  dy: Value,
): Value {
  const [outChannels, channels] = weight.shape as readonly number[];
  const size = dy.shape.slice(2) as unknown as readonly [number, number];
  const patches = Patches(g, x, size, { kernel, stride, pads });
  const rows = Reshape(g, channelsLast(g, dy), [-1, outChannels!]);
  const product = MatMul(g, transposed(g, rows), patches);
  const placed = Reshape(g, product, [outChannels!, kernel, kernel, channels!]);
  return Transpose(g, placed, [0, 3, 1, 2]);
}
