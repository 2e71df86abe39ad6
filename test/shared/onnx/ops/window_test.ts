import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { Window } from "../../../../shared/onnx/ops/window.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { runGraph } from "../run_graph.ts";

Deno.test("Window takes as many pixels as another image has, from any first one, in steps", async () => {
  const image = f32(
    [1, 1, 5, 7],
    Array.from({ length: 35 }, (_, i) => 10 * Math.floor(i / 7) + i % 7),
  );
  const cases = [
    [{}, [2, 3], [0, 1, 2, 10, 11, 12]],
    [{ start: [3, 5] }, [2, 2], [35, 36, 45, 46]],
    [{ start: [1, 0], stride: 2 }, [2, 4], [10, 12, 14, 16, 30, 32, 34, 36]],
    [{ start: [0, 1], stride: 3 }, [2, 2], [1, 4, 31, 34]],
  ] as const;
  for (const [options, size, expected] of cases) {
    const g = new GraphBuilder("window");
    const x = g.input("x", "float32", ["B", 1, "H", "W"]);
    const like = g.input("like", "float32", ["B", 3, "h", "w"]);
    const y = Window(g, x, like, options);
    assert.deepEqual(y.shape, ["B", 1, "h", "w"]);
    g.output("y", y);
    const { y: result } = await runGraph(g.build(), { x: image, like: f32([1, 3, ...size]) });
    assert.deepEqual([...result!.data as Float32Array], expected);
  }
});

Deno.test("Window refuses what is no image", () => {
  const g = new GraphBuilder("refusals");
  const x = g.input("x", "float32", ["B", 1, "H", "W"]);
  const row = g.input("row", "float32", ["B", 1, "W"]);
  assert.throws(() => Window(g, x, row), ShapeError);
  assert.throws(() => Window(g, row, x), ShapeError);
});
