/** Graph -> graph in which equal constants are one constant, and nodes that compute the same are one node. @module */

import type { Graph, Initializer, Node } from "./graph.ts";

export function shareEqual(graph: Graph): Graph {
  /** What a name stands for now. */
  const stands = new Map<string, string>();
  const resolve = (name: string) => stands.get(name) ?? name;
  const outputs = new Set(graph.outputs.map(({ name }) => name));

  const constants = new Map<string, string>();
  const initializers = graph.initializers.filter((initializer) => {
    if ("external" in initializer) return true;
    const key = constantKey(initializer);
    const known = constants.get(key);
    if (known === undefined) constants.set(key, initializer.name);
    else stands.set(initializer.name, known);
    return known === undefined;
  });

  const computed = new Map<string, readonly string[]>();
  const nodes: Node[] = [];
  for (const old of graph.nodes) {
    const node = { ...old, inputs: old.inputs.map(resolve) };
    const { op, domain, inputs, attributes } = node;
    const key = JSON.stringify([op, domain, inputs, attributes]);
    const known = computed.get(key);
    // An output keeps the node that names it.
    if (known && !node.outputs.some((name) => outputs.has(name))) {
      node.outputs.forEach((name, i) => stands.set(name, known[i]!));
      continue;
    }
    computed.set(key, node.outputs);
    nodes.push(node);
  }
  return { ...graph, initializers, nodes };
}

function constantKey(
  { dtype, shape, bytes }: Initializer & { readonly bytes: Uint8Array },
): string {
  return `${dtype} [${shape}] ${bytes.toHex()}`;
}
