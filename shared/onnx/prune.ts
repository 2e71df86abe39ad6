/**
 * Graph -> graph without what no output needs. Inputs stay: who runs the graph need not know what it uses.
 *
 * A value of which only the shape is asked for is not needed for that: equal expressions are equal sizes (`dim.ts`), so another value
 * of the same shape, that is there anyway, tells it as well.
 *
 * @module
 */

import type { Graph, Node } from "./graph.ts";

export function pruneGraph(graph: Graph): Graph {
  const { outputs, inputs, nodes } = graph;
  /** Value -> index of the node that makes it. */
  const makers = new Map(
    nodes.flatMap((node, i) => node.outputs.map((name) => [name, i] as const)),
  );
  const isGiven = new Set(inputs.map(({ name }) => name));
  const needed = new Set<string>();
  const shapeNodes = new Set<number>();

  function need(name: string): void {
    const pending = [name];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (needed.has(next)) continue;
      needed.add(next);
      const maker = makers.get(next);
      if (maker === undefined) continue;
      const node = nodes[maker]!;
      node.outputs.forEach((output) => needed.add(output));
      if (node.op === "Shape") shapeNodes.add(maker);
      else pending.push(...node.inputs);
    }
  }

  /** A value with the shape of `name` that the node at `index` can ask. */
  function sameShape(name: string, index: number): string | undefined {
    const shapeOf = (value: string) => graph.values.get(value)!.shape.join();
    const isThere = (value: string) => isGiven.has(value) || needed.has(value);
    if (isThere(name)) return name;
    // Only what is computed before it is asked.
    const candidates = [...isGiven, ...nodes.slice(0, index).flatMap((node) => node.outputs)];
    return candidates.find((value) => isThere(value) && shapeOf(value) === shapeOf(name));
  }

  for (const { name } of outputs) need(name);
  const asked = new Map<number, string>();
  // More are found while earlier ones are settled; a set is walked over with what is added meanwhile.
  for (const index of shapeNodes) {
    const [name] = nodes[index]!.inputs;
    const source = sameShape(name!, index);
    if (source === undefined) need(name!);
    asked.set(index, source ?? name!);
  }
  const kept = nodes.flatMap((node, index): Node[] => {
    if (!node.outputs.some((name) => needed.has(name))) return [];
    const source = asked.get(index);
    return [source === undefined ? node : { ...node, inputs: [source] }];
  });
  return {
    ...graph,
    nodes: kept,
    initializers: graph.initializers.filter(({ name }) => needed.has(name)),
  };
}
