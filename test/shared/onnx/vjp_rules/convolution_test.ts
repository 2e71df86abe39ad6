import assert from "node:assert/strict";
import { Conv, type ConvOptions } from "../../../../shared/onnx/ops/convolution.ts";
import { vjpGraph } from "../../../../shared/onnx/vjp.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

const convGraph = (kernel: number, options: ConvOptions) =>
  graphOf(
    "float32",
    { x: ["B", 2, "H", "W"], weight: [3, 2, kernel, kernel], bias: [3] },
    (g, x, weight, bias) => Conv(g, x!, weight!, bias, options),
  );

/** Convolution is linear in each input, so a long step costs nothing and rounding shrinks beside it. */
const LINEAR = { step: 1, tolerance: 1e-5 };

const FORMS: readonly (readonly [string, number, ConvOptions])[] = [
  ["1x1", 1, {}],
  ["3x3", 3, { pads: [1, 1, 1, 1] }],
  ["3x3 with stride 2", 3, { pads: [1, 1, 1, 1], stride: 2 }],
  ["3x3 with stride 2, padded on the right and bottom only", 3, { pads: [0, 0, 1, 1], stride: 2 }],
  ["3x3, padded unevenly", 3, { pads: [2, 0, 0, 2] }],
  ["3x3 without padding", 3, {}],
  ["2x2 with stride 3", 2, { stride: 3, pads: [1, 0, 0, 1] }],
];

for (const [name, kernel, options] of FORMS) {
  Deno.test(`Conv ${name}: gradients of image, weights and bias, on even and odd sizes`, async () => {
    const graph = convGraph(kernel, options);
    for (const [height, width] of [[6, 8], [7, 5], [6, 7], [8, 9]] as const) {
      await checkGradients(graph, {
        x: randomFloats("float32", [2, 2, height, width], 1),
        weight: randomFloats("float32", [3, 2, kernel, kernel], 2),
        bias: randomFloats("float32", [3], 3),
      }, LINEAR);
    }
  });
}

for (const [name, kernel, options] of FORMS) {
  Deno.test(`Conv ${name} of a known size: gradients of image, weights and bias`, async () => {
    for (const [height, width] of [[6, 8], [7, 5], [3, 3]] as const) {
      const graph = graphOf(
        "float32",
        { x: [2, 2, height, width], weight: [3, 2, kernel, kernel], bias: [3] },
        (g, x, weight, bias) => Conv(g, x!, weight!, bias, options),
      );
      await checkGradients(graph, {
        x: randomFloats("float32", [2, 2, height, width], 1),
        weight: randomFloats("float32", [3, 2, kernel, kernel], 2),
        bias: randomFloats("float32", [3], 3),
      }, LINEAR);
    }
  });
}

Deno.test("the gradient of an image under a stride-1 convolution is a convolution, and nothing is computed again", () => {
  const ops = vjpGraph(convGraph(3, { pads: [1, 1, 1, 1] }), { wrt: ["x"] }).nodes
    .map(({ op }) => op);
  // Weights transposed and flipped: the runtime does that once, when it loads the graph.
  assert.deepEqual(ops, ["Transpose", "Slice", "Conv", "Identity"]);
  const strided = vjpGraph(convGraph(3, { pads: [1, 1, 1, 1], stride: 2 }), { wrt: ["x"] }).nodes;
  assert.deepEqual(strided.filter(({ op }) => op === "Conv"), []);
});
