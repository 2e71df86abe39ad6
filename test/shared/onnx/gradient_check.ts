/**
 * Holds the derivative of a graph against finite differences in one random direction per input:
 * <v, VJP(u)> = <JVP(v), u>, with the right side from four runs of the graph itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Lane } from "../../../shared/lane/lane.ts";
import { type Graph, GraphBuilder, type Value } from "../../../shared/onnx/graph.ts";
import { gradientName, vjpGraph } from "../../../shared/onnx/vjp.ts";
import { makeTensor, type Shape, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { type Inputs, runLoaded, runOn } from "./run_graph.ts";

export type Float = "float32" | "float64";

/**
 * Step and tolerance. The difference quotient is of fourth order, so it is off by about step^4 and by rounding / step:
 * f64 reaches 1e-10, f32 a few 1e-6 for functions whose derivatives are around 1, more where the runtime sums many terms.
 */
const ACCURACY = {
  float64: { step: 1e-3, tolerance: 1e-8 },
  float32: { step: 3e-2, tolerance: 1e-4 },
} as const;

/** Pseudo-random values in -1..1, times `gain`, plus `shift`. */
export function randomFloats(
  dtype: Float,
  shape: Shape,
  seed: number,
  { gain = 1, shift = 0 } = {},
): Tensor<Float> {
  const { data } = randomTensor(shape, seed);
  const values = Float64Array.from(data, (value) => gain * value + shift);
  return dtype === "float64"
    ? makeTensor(dtype, shape, values)
    : makeTensor(dtype, shape, Float32Array.from(values));
}

export interface CheckOptions {
  /** @default all inputs of floats */
  readonly wrt?: readonly string[];
  /** Sizes of symbols that no input's shape holds alone. */
  readonly bindings?: Readonly<Record<string, number>>;
  readonly step?: number;
  readonly tolerance?: number;
}

/** Checks all outputs together with respect to each input. */
export async function checkGradients(
  graph: Graph,
  inputs: Inputs,
  options: CheckOptions = {},
): Promise<void> {
  const wrt = options.wrt ??
    graph.inputs.filter(({ dtype }) => dtype !== "int64").map(({ name }) => name);
  const dtype = inputs[wrt[0]!]!.dtype as Float;
  const { step, tolerance } = { ...ACCURACY[dtype], ...options };
  await using lane = new Lane({ device: "cpu", threads: 1 });
  const outputs = await runOn(lane, graph, inputs, options.bindings);
  const cotangents = Object.fromEntries(
    Object.entries(outputs).map(([name, { shape }], i) => [
      gradientName(name),
      randomFloats(dtype, shape, 101 + i),
    ]),
  );
  const vjp = vjpGraph(graph, { wrt });
  const gradients = await runOn(lane, vjp, { ...inputs, ...cotangents }, options.bindings);

  for (const [i, name] of wrt.entries()) {
    const direction = randomFloats(dtype, inputs[name]!.shape, 201 + i);
    /** <f(x + t v), u>, in f64. */
    const along = async (t: number) => {
      const x = inputs[name]! as Tensor<Float>;
      const data = x.data.map((value: number, k: number) => value + t * direction.data[k]!);
      const moved = { ...inputs, [name]: { ...x, data } as Tensor };
      const results = await runLoaded(lane, graph, moved, options.bindings);
      return Object.entries(results).reduce(
        (sum, [output, y]) => sum + inner(y, cotangents[gradientName(output)]!),
        0,
      );
    };
    const [far, near] = [
      await along(2 * step) - await along(-2 * step),
      await along(step) - await along(-step),
    ];
    const expected = (8 * near - far) / (12 * step);
    const gradient = gradients[gradientName(name)]!;
    const actual = inner(gradient, direction);
    const scale = innerOfAbsolutes(gradient, direction);
    assert.ok(scale > 0, `gradient of ${name} must not vanish: this test could not fail`);
    const error = Math.abs(actual - expected) / scale;
    assert.ok(
      error <= tolerance,
      `gradient of ${name}: ${actual} is not ${expected} (relative error ${error} of ${tolerance})`,
    );
  }
}

function inner(a: Tensor, b: Tensor): number {
  return (a.data as Float64Array).reduce((sum, value, i) => sum + value * Number(b.data[i]), 0);
}

function innerOfAbsolutes(a: Tensor, b: Tensor): number {
  return (a.data as Float64Array).reduce(
    (sum, value, i) => sum + Math.abs(value * Number(b.data[i])),
    0,
  );
}

/** A graph of one operation: the inputs by name and shape, `y` its output. */
export function graphOf(
  dtype: Float,
  shapes: Readonly<Record<string, readonly (number | string)[]>>,
  build: (g: GraphBuilder, ...inputs: Value[]) => Value,
): Graph {
  const g = new GraphBuilder("op");
  const inputs = Object.entries(shapes).map(([name, shape]) => g.input(name, dtype, shape));
  g.output("y", build(g, ...inputs));
  return g.build();
}
