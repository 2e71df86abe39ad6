/**
 * Graph -> graph in which convolutions of images with few pixels are one matrix product over the batch (`ops/patches.ts`). It shares the
 * patches with the gradients of the same weights.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import type { Attributes, Graph } from "./graph.ts";
import { ConvByPatches, hasFewPixels } from "./ops/patches.ts";
import { rewriteGraph } from "./rewrite.ts";
import { shareEqual } from "./share.ts";

export function smallConvolutionsAsProducts(graph: Graph): Graph {
  const rewritten = rewriteGraph(graph, (g, { op, inputs, outputs, attributes }) => {
    const [x, weight, bias] = inputs;
    const shape = outputs[0]?.shape ?? [];
    if (op !== "Conv" || !hasFewPixels(x!.shape) || !hasFewPixels(shape)) return undefined;
    const [kernel, stride, pads] = ["kernel_shape", "strides", "pads"].map((name) =>
      ints(attributes, name)
    );
    const form = {
      kernel: kernel![0]!,
      stride: stride![0]!,
      pads: pads as [number, number, number, number],
    };
    return [ConvByPatches(g, x!, weight!, bias, form, shape as readonly number[])];
  });
  return shareEqual(rewritten);
}

function ints(attributes: Attributes, name: string): readonly number[] {
  const attribute = attributes[name];
  if (attribute && "ints" in attribute) return attribute.ints;
  throw new ShapeError(`Conv must have the attribute ${name}`);
}
