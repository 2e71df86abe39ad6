import assert from "node:assert/strict";
import { Conv, type ConvOptions } from "../../../shared/onnx/ops/convolution.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { smallConvolutionsAsProducts } from "../../../shared/onnx/small_convolutions.ts";
import { vjpGraph } from "../../../shared/onnx/vjp.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { graphOf, randomFloats } from "./gradient_check.ts";
import { runGraph } from "./run_graph.ts";

const FORMS: readonly (readonly [number, ConvOptions])[] = [
  [1, {}],
  [1, { stride: 2 }],
  [3, { pads: [1, 1, 1, 1] }],
  [3, { pads: [1, 1, 1, 1], stride: 2 }],
  [3, { pads: [0, 0, 1, 1], stride: 2 }],
  [2, { pads: [1, 0, 0, 1], stride: 3 }],
];

const convGraph = (kernel: number, options: ConvOptions, size: readonly (number | string)[]) =>
  graphOf(
    "float32",
    { x: [2, 3, ...size], weight: [4, 3, kernel, kernel], bias: [4] },
    (g, x, weight, bias) => Conv(g, x!, weight!, bias, options),
  );

const count = ({ nodes }: Graph, op: string) => nodes.filter((node) => node.op === op).length;

Deno.test("smallConvolutionsAsProducts() computes what the convolutions did", async () => {
  for (const [kernel, options] of FORMS) {
    // Of one pixel a kernel sees its padding only.
    const sizes = options.pads?.every((pad) => pad === 1) ? [[5, 6], [1, 1]] : [[5, 6]];
    for (const [height, width] of sizes as [number, number][]) {
      const graph = convGraph(kernel, options, [height, width]);
      const products = smallConvolutionsAsProducts(graph);
      assert.equal(count(products, "Conv"), 0);
      const inputs = {
        x: randomFloats("float32", [2, 3, height, width], 1),
        weight: randomFloats("float32", [4, 3, kernel, kernel], 2),
        bias: randomFloats("float32", [4], 3),
      };
      const { y: expected } = await runGraph(graph, inputs);
      const { y: actual } = await runGraph(products, inputs);
      const { maxAbs } = difference((actual as F32Tensor).data, (expected as F32Tensor).data);
      assert.ok(maxAbs < 1e-5, `${maxAbs}`);
    }
  }
});

Deno.test("smallConvolutionsAsProducts() leaves large images and unknown sizes to the runtime", () => {
  const [kernel, options] = [3, { pads: [1, 1, 1, 1] } as const];
  for (const size of [[17, 16], ["H", "W"]]) {
    assert.equal(count(smallConvolutionsAsProducts(convGraph(kernel, options, size)), "Conv"), 1);
  }
});

Deno.test("smallConvolutionsAsProducts() shares the patches of a pass with the gradient of its weights", () => {
  const graph = convGraph(3, { pads: [1, 1, 1, 1] }, [4, 4]);
  const both = smallConvolutionsAsProducts(
    vjpGraph(graph, { wrt: ["weight"], withOutputs: true }),
  );
  assert.equal(count(both, "Concat"), 1);
});
