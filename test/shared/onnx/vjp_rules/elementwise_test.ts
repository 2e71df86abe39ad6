import type { GraphBuilder, Value } from "../../../../shared/onnx/graph.ts";
import {
  Add,
  Cast,
  Div,
  Exp,
  Gelu,
  Mul,
  Sigmoid,
  Sqrt,
  Sub,
} from "../../../../shared/onnx/ops/elementwise.ts";
import { DTYPES } from "../../../../shared/tensor/dtype.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

const BINARY = { Add, Sub, Mul, Div } as const;

for (const [name, op] of Object.entries(BINARY)) {
  Deno.test(`${name}: gradients of both sides, also where one was broadcast`, async () => {
    const cases = [
      [["B", 3], ["B", 3]],
      [["B", 3, "H", "W"], [3, 1, 1]],
      [["B", 1, "W"], ["B", 3, "W"]],
      [[3], ["B", 3]],
    ] as const;
    const sizes: Readonly<Record<string, number>> = { B: 2, H: 4, W: 5 };
    for (const shapes of cases) {
      const [a, b] = shapes.map((shape) =>
        shape.map((dim) => typeof dim === "number" ? dim : sizes[dim]!)
      );
      const graph = graphOf("float64", { a: shapes[0], b: shapes[1] }, (g, a, b) => op(g, a!, b!));
      await checkGradients(graph, {
        a: randomFloats("float64", a!, 1),
        b: randomFloats("float64", b!, 2, { gain: 0.5, shift: 2 }), // A divisor stays away from 0.
      });
    }
  });
}

Deno.test("Add of a value to itself: the gradient comes twice", async () => {
  const graph = graphOf("float64", { x: ["N"] }, (g, x) => Add(g, x!, x!));
  await checkGradients(graph, { x: randomFloats("float64", [6], 1) });
});

const unary = (op: (g: GraphBuilder, x: Value) => Value, dtype: "float32" | "float64") =>
  graphOf(dtype, { x: ["N"] }, (g, x) => op(g, x!));

Deno.test("Sigmoid: gradient, small and large arguments", async () => {
  for (const gain of [1, 6]) {
    const x = randomFloats("float64", [40], 3, { gain });
    await checkGradients(unary(Sigmoid, "float64"), { x });
  }
});

Deno.test("Exp: gradient", async () => {
  await checkGradients(unary(Exp, "float64"), { x: randomFloats("float64", [40], 5) });
});

Deno.test("Sqrt: gradient, away from 0", async () => {
  const x = randomFloats("float64", [40], 6, { shift: 1.5 });
  await checkGradients(unary(Sqrt, "float64"), { x });
});

Deno.test("Gelu: gradient, small and large arguments", async () => {
  // The runtime computes erf in f32 only. Its fourth derivative is large beside its first: a shorter step.
  for (const gain of [1, 4]) {
    const x = randomFloats("float32", [40], 4, { gain });
    await checkGradients(unary(Gelu, "float32"), { x }, { step: 0.02, tolerance: 1e-4 });
  }
});

Deno.test("Cast: the gradient comes back in the dtype of the input", async () => {
  const graph = graphOf("float64", { x: ["N"] }, (g, x) => {
    const half = Mul(g, Cast(g, x!, "float32", DTYPES.float32.onnx), Cast(g, x!, "float32", 1));
    return Cast(g, half, "float64", DTYPES.float64.onnx);
  });
  // The square is exact but for f32's rounding, so a long step is right.
  const x = randomFloats("float64", [8], 5);
  await checkGradients(graph, { x }, { step: 0.25, tolerance: 1e-6 });
});
