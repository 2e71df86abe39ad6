import assert from "node:assert/strict";
import { Mul } from "../../../../shared/onnx/ops/elementwise.ts";
import { ReduceMean, ReduceSum } from "../../../../shared/onnx/ops/reduction.ts";
import { vjpGraph } from "../../../../shared/onnx/vjp.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

const shapes = { x: ["B", 3, "H", "W"] } as const;
const x = randomFloats("float64", [2, 3, 4, 5], 1);

for (const [name, op] of Object.entries({ ReduceSum, ReduceMean })) {
  Deno.test(`${name}: every element gets the gradient of what it went into`, async () => {
    for (const axes of [[2, 3], [0], [1, 3]]) {
      const graph = graphOf("float64", shapes, (g, x) => op(g, Mul(g, x!, x!), axes));
      await checkGradients(graph, { x });
    }
  });
}

Deno.test("ReduceSum that drops its axes has no derivative, and says so", () => {
  const graph = graphOf("float64", shapes, (g, x) => ReduceSum(g, x!, [1], { keepdims: false }));
  assert.throws(() => vjpGraph(graph, { wrt: ["x"] }), {
    code: "UNIMPLEMENTED",
    message:
      "The derivative of ReduceSum is not built for dropped axes, or axes that only a run knows",
  });
});
