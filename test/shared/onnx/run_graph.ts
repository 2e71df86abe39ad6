/**
 * Runs a graph under test on ONNX Runtime. Outputs are allocated in the shape that the builder inferred, with the
 * symbols bound as the inputs bind them: the runtime refuses the run where inference is wrong.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Lane } from "../../../shared/lane/lane.ts";
import type { Dim } from "../../../shared/onnx/dim.ts";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import type { Tensor } from "../../../shared/tensor/tensor.ts";

export type Inputs = Readonly<Record<string, Tensor>>;

/**
 * @param bindings sizes of symbols that no input's shape holds alone (`TH` of a resize)
 * @returns the outputs by name
 */
export async function runGraph(
  graph: Graph,
  inputs: Inputs,
  bindings: Readonly<Record<string, number>> = {},
): Promise<Readonly<Record<string, Tensor>>> {
  await using lane = new Lane({ device: "cpu", threads: 1 });
  return await runOn(lane, graph, inputs, bindings);
}

/** The same on a lane that is there already; a graph's name may come once per lane. */
export async function runOn(
  lane: Lane,
  graph: Graph,
  inputs: Inputs,
  bindings: Readonly<Record<string, number>> = {},
): Promise<Readonly<Record<string, Tensor>>> {
  await lane.loadGraph(graph.name, encodeModel(graph));
  return await runLoaded(lane, graph, inputs, bindings);
}

/** The same for a graph that is loaded. */
export async function runLoaded(
  lane: Lane,
  graph: Graph,
  inputs: Inputs,
  bindings: Readonly<Record<string, number>> = {},
): Promise<Readonly<Record<string, Tensor>>> {
  const sizes = new Map(Object.entries(bindings));
  for (const { name, shape } of graph.inputs) {
    shape.forEach((dim, axis) => {
      if (typeof dim === "string") sizes.set(dim, inputs[name]!.shape[axis]!);
    });
  }
  const outputTypes = Object.fromEntries(
    graph.outputs.map(({ name, dtype, shape }) => [
      name,
      { dtype, shape: shape.map((dim) => evaluate(dim, sizes)) },
    ]),
  );
  return (await lane.run(graph.name, inputs, outputTypes)).outputs;
}

/** The size that an inferred dimension stands for. */
export function evaluate(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  if (typeof dim === "number") return dim;
  const code = dim.replaceAll(/[A-Za-z]+/g, (word) => {
    if (word === "floor") return "Math.floor";
    const size = sizes.get(word);
    assert.ok(size !== undefined, `nothing binds ${word} of ${dim}`);
    return String(size);
  });
  return new Function(`return ${code}`)() as number;
}
