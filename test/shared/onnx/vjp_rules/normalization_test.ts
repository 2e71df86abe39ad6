import {
  InstanceNormalization,
  LayerNormalization,
  Softmax,
} from "../../../../shared/onnx/ops/normalization.ts";
import { groupNorm } from "../../../../shared/models/layers/norm.ts";
import { Weights } from "../../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

Deno.test("Softmax: gradient along any axis", async () => {
  for (const axis of [-1, 1, 2]) {
    const graph = graphOf("float64", { x: ["B", 3, "H", "W"] }, (g, x) => Softmax(g, x!, axis));
    await checkGradients(graph, { x: randomFloats("float64", [2, 3, 4, 5], 1, { gain: 3 }) });
  }
});

Deno.test("LayerNormalization: gradients of tokens, scale and bias", async () => {
  for (const epsilon of [1e-5, 0.3]) {
    const graph = graphOf(
      "float64",
      { x: ["B", "L", 6], scale: [6], bias: [6] },
      (g, x, scale, bias) => LayerNormalization(g, x!, scale!, bias!, epsilon),
    );
    await checkGradients(graph, {
      // Off centre: a formula that forgets the mean would show.
      x: randomFloats("float64", [2, 3, 6], 1, { shift: 2 }),
      scale: randomFloats("float64", [6], 2),
      bias: randomFloats("float64", [6], 3),
    });
  }
});

Deno.test("InstanceNormalization: gradients of image, scale and bias", async () => {
  for (const epsilon of [1e-5, 0.3]) {
    const graph = graphOf(
      "float32",
      { x: ["B", 3, "H", "W"], scale: [3], bias: [3] },
      (g, x, scale, bias) => InstanceNormalization(g, x!, scale!, bias!, epsilon),
    );
    await checkGradients(graph, {
      x: randomFloats("float32", [2, 3, 4, 5], 1, { shift: 2 }),
      scale: randomFloats("float32", [3], 2),
      bias: randomFloats("float32", [3], 3),
    });
  }
});

Deno.test("group norm as the layers build it: gradients of image, scale and shift", async () => {
  const g = new GraphBuilder("group norm");
  const x = g.input("x", "float32", ["B", 6, "H", "W"]);
  g.output("y", groupNorm(g, Weights.asInputs(), x, 2, 1e-5));
  await checkGradients(g.build(), {
    x: randomFloats("float32", [2, 6, 4, 3], 1, { shift: 1 }),
    weight: randomFloats("float32", [6], 2),
    bias: randomFloats("float32", [6], 3),
  });
});
