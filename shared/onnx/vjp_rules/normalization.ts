/**
 * Derivatives of softmax and of the normalisations. With n = (x - mean) / sd over a run of elements and w = scale dy:
 * dx = (w - mean(w) - n mean(w n)) / sd.
 *
 * @module
 */

import type { GraphBuilder, Value } from "../graph.ts";
import { Add, Div, Mul, Sqrt, Sub } from "../ops/elementwise.ts";
import { ReduceMean, ReduceSum } from "../ops/reduction.ts";
import { Reshape } from "../ops/movement.ts";
import {
  floatAttribute,
  intAttribute,
  isFilledWith,
  type PrimalNode,
  reshapeTo,
  scalar,
  unbroadcast,
  type VjpRule,
} from "./rule.ts";

/** dx = y (dy - sum(y dy)) along the axis. */
export const softmax: VjpRule = (g, node, [dy]) => [() => {
  const y = node.outputs[0]!;
  const last = y.shape.length - 1;
  const axis = intAttribute(node, "axis", -1);
  const isLast = axis === -1 || axis === last;
  const along = isLast && node.rowProducts
    ? node.rowProducts()
    : ReduceSum(g, Mul(g, y, dy), [axis < 0 ? y.shape.length + axis : axis]);
  return Mul(g, y, Sub(g, dy, along));
}];

/** Of each `[b, c]` over its other axes. */
export const instanceNormalization: VjpRule = (g, node, [dy]) => {
  const [x, scale, bias] = node.inputs;
  const rank = x!.shape.length;
  const perChannel = (value: Value) =>
    Reshape(g, value, [1, value.shape[0] as number, ...new Array(rank - 2).fill(1)]);
  // A group norm normalises without scale and bias of its own, and then its output is n.
  const isPlain = isFilledWith(node, scale!, 1) && isFilledWith(node, bias!, 0);
  const axes = [...x!.shape.keys()].slice(2);
  const { normalized, inverseDeviation } = moments(g, node, axes, isPlain);
  const summed = (value: Value) =>
    reshapeTo(g, ReduceSum(g, value, [0, ...axes], { keepdims: false }), scale!);
  return [
    () =>
      inputCotangent(g, {
        weighted: isPlain ? dy : Mul(g, dy, perChannel(scale!)),
        normalized: normalized(),
        inverseDeviation: inverseDeviation(),
        axes,
      }),
    () => summed(Mul(g, dy, normalized())),
    () => summed(dy),
  ];
};

/** Over the last axis. */
export const layerNormalization: VjpRule = (g, node, [dy]) => {
  const [x, scale, bias] = node.inputs;
  const axes = [x!.shape.length - 1];
  const { normalized, inverseDeviation } = moments(g, node, axes, false);
  return [
    () =>
      inputCotangent(g, {
        weighted: Mul(g, dy, scale!),
        normalized: normalized(),
        inverseDeviation: inverseDeviation(),
        axes,
      }),
    () => unbroadcast(g, Mul(g, dy, normalized()), scale!),
    () => unbroadcast(g, dy, bias!),
  ];
};

/** n and 1 / sd, each built once when it is first asked for. */
function moments(g: GraphBuilder, node: PrimalNode, axes: readonly number[], isPlain: boolean) {
  const [x] = node.inputs;
  const epsilon = floatAttribute(node, "epsilon", 1e-5);
  const centred = once(() => Sub(g, x!, ReduceMean(g, x!, axes)));
  const inverseDeviation = once(() => {
    const variance = ReduceMean(g, Mul(g, centred(), centred()), axes);
    return Div(g, scalar(g, 1, x!), Sqrt(g, Add(g, variance, scalar(g, epsilon, x!))));
  });
  const normalized = once(() => isPlain ? node.outputs[0]! : Mul(g, centred(), inverseDeviation()));
  return { normalized, inverseDeviation };
}

function inputCotangent(
  g: GraphBuilder,
  { weighted, normalized, inverseDeviation, axes }: {
    /** scale dy */
    readonly weighted: Value;
    readonly normalized: Value;
    readonly inverseDeviation: Value;
    readonly axes: readonly number[];
  },
): Value {
  const mean = ReduceMean(g, weighted, axes);
  const slope = ReduceMean(g, Mul(g, weighted, normalized), axes);
  const deviation = Sub(g, Sub(g, weighted, mean), Mul(g, normalized, slope));
  return Mul(g, deviation, inverseDeviation);
}

function once(build: () => Value): () => Value {
  let value: Value | undefined;
  return () => value ??= build();
}
