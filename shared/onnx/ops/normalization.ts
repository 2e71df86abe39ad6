/** Normalisations and reductions over known axes. @module */

import { ShapeError } from "../../errors.ts";
import type { GraphBuilder, Value } from "../graph.ts";
import { checkOneDtype } from "./one_dtype.ts";

/** Normalises each `[b, c]` over its other axes, then scales and shifts per channel. */
export function InstanceNormalization(
  g: GraphBuilder,
  x: Value,
  scale: Value,
  bias: Value,
  epsilon: number,
): Value {
  checkOneDtype("InstanceNormalization", x, scale, bias);
  if (scale.shape.join() !== String(x.shape[1]) || bias.shape.join() !== scale.shape.join()) {
    throw new ShapeError(
      `InstanceNormalization of [${x.shape}] needs scale and bias of its channels: [${scale.shape}]`,
    );
  }
  return g.node("InstanceNormalization", [x, scale, bias], [{ dtype: x.dtype, shape: x.shape }], {
    attributes: { epsilon: { float: epsilon } },
  })[0]!;
}

/** Normalises over the last axis. */
export function LayerNormalization(
  g: GraphBuilder,
  x: Value,
  scale: Value,
  bias: Value,
  epsilon: number,
): Value {
  checkOneDtype("LayerNormalization", x, scale, bias);
  if (scale.shape.join() !== String(x.shape.at(-1)) || bias.shape.join() !== scale.shape.join()) {
    throw new ShapeError(
      `LayerNormalization of [${x.shape}] needs scale and bias of its last axis: [${scale.shape}]`,
    );
  }
  return g.node("LayerNormalization", [x, scale, bias], [{ dtype: x.dtype, shape: x.shape }], {
    attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
  })[0]!;
}

export function Softmax(g: GraphBuilder, x: Value, axis: number): Value {
  return g.node("Softmax", [x], [{ dtype: x.dtype, shape: x.shape }], {
    attributes: { axis: { int: axis } },
  })[0]!;
}
