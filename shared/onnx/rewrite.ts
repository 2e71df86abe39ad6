/**
 * Graph -> graph: walks the nodes in order and rebuilds the graph with some of them written otherwise. Inputs and
 * outputs keep their names and dtypes.
 *
 * @module
 */

import { DTYPES } from "../tensor/dtype.ts";
import { tensorFromBytes } from "../tensor/tensor.ts";
import { type Graph, GraphBuilder, type Node, type Value } from "./graph.ts";
import { Cast } from "./ops/elementwise.ts";

/** A node as the rewriter sees it: what flows in is new, what flowed out is old. */
export interface OldNode extends Omit<Node, "inputs" | "outputs"> {
  /** Of the graph that is being built; undefined for an input that is not given. */
  readonly inputs: readonly (Value | undefined)[];
  /** As the old graph has them. */
  readonly outputs: readonly Value[];
}

/** What stands for the node's outputs in the new graph; undefined copies the node. */
export type Rewrite = (g: GraphBuilder, node: OldNode) => readonly Value[] | undefined;

export function rewriteGraph(graph: Graph, rewrite: Rewrite): Graph {
  const g = new GraphBuilder(graph.name);
  /** Old name -> new value. */
  const values = new Map<string, Value>();
  for (const { name, dtype, shape } of graph.inputs) values.set(name, g.input(name, dtype, shape));
  for (const initializer of graph.initializers) {
    const { name, dtype, shape } = initializer;
    values.set(
      name,
      "external" in initializer
        ? g.weight(name, dtype, shape, initializer.external)
        : g.constant(tensorFromBytes(dtype, shape, initializer.bytes)),
    );
  }
  const outputs = new Map(graph.outputs.map((output) => [output.name, output]));
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => name === "" ? undefined : values.get(name)!);
    const output = outputs.get(node.outputs[0]!);
    if (output) {
      // `GraphBuilder.output()` puts an Identity before each output.
      g.output(output.name, Cast(g, inputs[0]!, output.dtype, DTYPES[output.dtype].onnx));
      continue;
    }
    const old = { ...node, inputs, outputs: node.outputs.map((name) => graph.values.get(name)!) };
    const results = rewrite(g, old) ?? copyNode(g, old);
    node.outputs.forEach((name, i) => values.set(name, results[i]!));
  }
  return g.build();
}

/** The node as it was, between the new values. */
export function copyNode(
  g: GraphBuilder,
  { op, domain, attributes, inputs, outputs }: OldNode,
): Value[] {
  return g.node(op, inputs, outputs, { domain, attributes });
}
