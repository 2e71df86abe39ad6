/**
 * A graph in 16-bit floats: f32 at its inputs and outputs (this runtime takes no 16-bit inputs), f16 between, and f32
 * again where a sum over many elements or an exponential would lose too much.
 *
 * @module
 */

import type { Graph, GraphBuilder, Value } from "../onnx/graph.ts";
import { Cast } from "../onnx/ops/elementwise.ts";
import { copyNode, type OldNode, rewriteGraph } from "../onnx/rewrite.ts";
import { type DType, DTYPES } from "../tensor/dtype.ts";

/** Their sums or exponentials would lose too much. */
const FULL_PRECISION: ReadonlySet<string> = new Set([
  "InstanceNormalization",
  "LayerNormalization",
  "Softmax",
]);

const FLOATS: ReadonlySet<DType> = new Set(["float32", "float16"]);

/**
 * Weights that a file has in f16 are used as they are; others, and what is computed from weights alone, become f16 when
 * the runtime loads the graph.
 */
export function halfPrecision(graph: Graph): Graph {
  const constants = constantNames(graph);
  /** An f16 weight by the value that is its f32 copy. */
  const halves = new Map<Value, Value>();
  const casts = new Map<string, Value>();

  function as(g: GraphBuilder, value: Value, dtype: "float32" | "float16"): Value {
    if (value.dtype === dtype) return value;
    const half = dtype === "float16" ? halves.get(value) : undefined;
    if (half) return half;
    const key = `${dtype} ${value.name}`;
    let cast = casts.get(key);
    if (!cast) casts.set(key, cast = Cast(g, value, dtype, DTYPES[dtype].onnx));
    return cast;
  }

  return rewriteGraph(graph, (g: GraphBuilder, node: OldNode) => {
    if (constants.has(node.outputs[0]!.name)) {
      const results = copyNode(g, node);
      const [source] = node.inputs;
      if (node.op === "Cast" && source!.dtype === "float16") halves.set(results[0]!, source!);
      return results;
    }
    const dtype = FULL_PRECISION.has(node.op) ? "float32" : "float16";
    const isFloat = ({ dtype }: Value) => FLOATS.has(dtype);
    return copyNode(g, {
      ...node,
      inputs: node.inputs.map((value) => value && isFloat(value) ? as(g, value, dtype) : value),
      outputs: node.outputs.map((value) => isFloat(value) ? { ...value, dtype } : value),
    });
  });
}

/** Everything that follows from weights and constants alone: a run does not change it. */
function constantNames({ initializers, nodes }: Graph): ReadonlySet<string> {
  const constants = new Set(initializers.map(({ name }) => name));
  for (const { inputs, outputs } of nodes) {
    if (inputs.every((name) => name === "" || constants.has(name))) {
      outputs.forEach((name) => constants.add(name));
    }
  }
  return constants;
}
