/**
 * What a device asks of a graph. Graphs are built once, in f32 and with fused operations; here they become what the device
 * computes right.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { LaneOptions } from "../lane/protocol.ts";
import { attention } from "../models/layers/attention.ts";
import type { Graph } from "../onnx/graph.ts";
import { rewriteGraph } from "../onnx/rewrite.ts";
import { halfPrecision } from "./half_precision.ts";

export type Precision = "f32" | "f16";

export interface GraphLowering {
  /** Attention with wider heads is written in primitive operations, whose matrix of scores is as large as it is. */
  readonly maxFusedHeadDim: number;
  /** What the device computes in. Inputs and outputs of graphs are f32 in any case. */
  readonly precision: Precision;
}

/** What runs graphs, and how they must be written for it. */
export interface ComputeOptions extends LaneOptions {
  /** @default all fused on the processor, nothing elsewhere; f32 */
  readonly lowering?: GraphLowering;
}

export function lowerGraph(graph: Graph, { device, lowering }: ComputeOptions): Graph {
  const { maxFusedHeadDim, precision } = lowering ??
    { maxFusedHeadDim: device === "cpu" ? Infinity : 0, precision: "f32" };
  const unfused = unfuseAttention(graph, maxFusedHeadDim);
  return precision === "f16" ? halfPrecision(unfused) : unfused;
}

/** Writes fused attention with heads wider than `maxFusedHeadDim` in primitive operations. */
export function unfuseAttention(graph: Graph, maxFusedHeadDim: number): Graph {
  if (!graph.nodes.some(({ op }) => op === "MultiHeadAttention")) return graph;
  if (maxFusedHeadDim === Infinity) return graph;
  return rewriteGraph(graph, (g, { op, inputs, attributes }) => {
    if (op !== "MultiHeadAttention") return undefined;
    const [query, key, value, ...others] = inputs;
    const { num_heads: numHeads, ...otherAttributes } = attributes;
    if (others.length > 0 || Object.keys(otherAttributes).length > 0) {
      throw new TuttiError(
        "UNIMPLEMENTED",
        `MultiHeadAttention of graph "${graph.name}" must have three inputs and the attribute num_heads only`,
      );
    }
    const heads = (numHeads as { readonly int: number }).int;
    if ((query!.shape[2] as number) / heads <= maxFusedHeadDim) return undefined;
    return [
      attention(g, { query: query!, key: key!, value: value!, heads, lowering: "primitive" }),
    ];
  });
}
