import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Lane, type OutputTypes } from "../../../shared/lane/lane.ts";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { MatMul } from "../../../shared/onnx/ops/linalg.ts";
import { f32, i64, type Tensor } from "../../../shared/tensor/tensor.ts";
import { HEAVY_OUTPUT, heavyGraph, heavyInput } from "./heavy_graph.ts";

const CPU = { device: "cpu", threads: 1 } as const;
/** A timer of this process ticks meanwhile, however busy the machine is. */
const LONG_MS = 3_000;

/** `sum = a + a`, a f32 `[B, 2]`. */
function doubling() {
  const g = new GraphBuilder("doubling");
  const a = g.input("a", "float32", ["B", 2]);
  g.output("sum", Add(g, a, a));
  return encodeModel(g.build());
}

const outputOf = (rows: number): OutputTypes => ({ sum: { dtype: "float32", shape: [rows, 2] } });
const numbers = (tensor: Tensor | undefined) => Array.from(tensor!.data as Float32Array);

Deno.test("Lane.run() does not block this thread: a timer keeps ticking during a heavy run", async () => {
  await using lane = new Lane(CPU);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  try {
    // As much work as this machine needs to tell: a blocked thread has one tick, when all is over.
    for (let layers = 40; ticks < 5; layers *= 2) {
      await lane.loadGraph(`heavy ${layers}`, encodeModel(heavyGraph(layers)));
      ticks = 0;
      const x = heavyInput();
      const { outputs, computeMs } = await lane.run(`heavy ${layers}`, { x }, HEAVY_OUTPUT);
      assert.ok(Math.abs((outputs.y!.data as Float32Array)[0]! - 1 / 512) < 1e-6);
      assert.ok(ticks >= 5 || computeMs < LONG_MS, `${ticks} ticks in ${computeMs} ms`);
    }
  } finally {
    clearInterval(timer);
  }
});

Deno.test("Lane.run() tells computing from waiting, and load counts both", async () => {
  await using lane = new Lane(CPU);
  // Long enough that what begins and ends a run does not count: the more work, the nearer is the wait to the first's computing.
  for (let layers = 10;; layers *= 2) {
    await lane.loadGraph(`heavy ${layers}`, encodeModel(heavyGraph(layers)));
    assert.equal(lane.load, 0);
    const runs = [1, 2].map(() => lane.run(`heavy ${layers}`, { x: heavyInput() }, HEAVY_OUTPUT));
    assert.equal(lane.load, 2);
    const [first, second] = await Promise.all(runs);
    assert.equal(lane.load, 0);
    const waited = second!.queueMs > 0.5 * first!.computeMs && first!.queueMs < second!.queueMs;
    if (waited) break;
    assert.ok(
      first!.computeMs < LONG_MS,
      `the second waited ${second!.queueMs} ms for the first's ${first!.computeMs}`,
    );
  }
});

Deno.test("Lane.run() reads inputs where they lie: views, small tensors, no rows at all", async () => {
  await using lane = new Lane(CPU);
  await lane.loadGraph("doubling", doubling());
  const buffer = Float32Array.from({ length: 20 }, (_, i) => i);
  for (let offset = 0; offset < 16; offset++) {
    const a = f32([2, 2], buffer.subarray(offset, offset + 4));
    const { outputs } = await lane.run("doubling", { a }, outputOf(2));
    assert.deepEqual(numbers(outputs.sum), [...a.data].map((value) => 2 * value));
  }
  const { outputs } = await lane.run("doubling", { a: f32([0, 2]) }, outputOf(0));
  assert.deepEqual(outputs.sum!.shape, [0, 2]);
});

Deno.test("errors of ONNX Runtime are typed, and the next good run works", async () => {
  await using lane = new Lane(CPU);
  const broken = { bytes: new Uint8Array([1, 2, 3]), weightsFolder: undefined };
  await assert.rejects(lane.loadGraph("broken", broken), {
    name: "TuttiError",
    code: "INTERNAL",
    message: /^ONNX Runtime failed: /,
  });
  await lane.loadGraph("doubling", doubling());
  const a = f32([1, 2], [3, 4]);
  const bad: readonly (readonly [string, string, Record<string, Tensor>, OutputTypes])[] = [
    ["a graph that is not loaded", "absent", { a }, outputOf(1)],
    ["no input", "doubling", {}, outputOf(1)],
    ["an input of another width", "doubling", { a: f32([1, 3]) }, outputOf(1)],
    ["an input of another rank", "doubling", { a: f32([2]) }, outputOf(1)],
    ["an input of another dtype", "doubling", { a: i64([1, 2], [3, 4]) }, outputOf(1)],
    ["an input that there is not", "doubling", { a, b: a }, outputOf(1)],
    ["an output of another shape", "doubling", { a }, outputOf(2)],
    ["an output of another dtype", "doubling", { a }, { sum: { dtype: "int64", shape: [1, 2] } }],
    ["an output that there is not", "doubling", { a }, { other: outputOf(1).sum! }],
  ];
  for (const [what, graph, inputs, outputs] of bad) {
    await assert.rejects(lane.run(graph, inputs, outputs), {
      name: "TuttiError",
      code: "INTERNAL",
      message: /^ONNX Runtime failed: ./,
    }, what);
    const good = await lane.run("doubling", { a }, outputOf(1));
    assert.deepEqual(numbers(good.outputs.sum), [6, 8], `after ${what}`);
  }
});

Deno.test("Lane.releaseGraph() forgets a graph, which may then be loaded again", async () => {
  await using lane = new Lane(CPU);
  const a = f32([1, 2], [1, 2]);
  await lane.loadGraph("doubling", doubling());
  await lane.releaseGraph("doubling");
  await assert.rejects(lane.run("doubling", { a }, outputOf(1)), /"doubling" is not loaded/);
  await lane.releaseGraph("doubling");
  await lane.loadGraph("doubling", doubling());
  assert.deepEqual(numbers((await lane.run("doubling", { a }, outputOf(1))).outputs.sum), [2, 4]);
});

Deno.test("closing a lane rejects the call that runs, those that wait and those that come", async () => {
  const lane = new Lane(CPU);
  await lane.loadGraph("heavy", encodeModel(heavyGraph(20)));
  const calls = [
    lane.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT),
    lane.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT),
    lane.loadGraph("more", doubling()),
  ];
  const ended = lane[Symbol.asyncDispose]();
  const closed = { name: "TuttiError", code: "UNAVAILABLE", message: "The compute lane is closed" };
  for (const call of calls) await assert.rejects(call, closed);
  await assert.rejects(lane.loadGraph("late", doubling()), closed);
  assert.equal(lane.load, 0);
  await Promise.all([ended, lane[Symbol.asyncDispose]()]);
});

Deno.test("a closed lane has given its weights' memory back", async () => {
  const side = 4096;
  const weightBytes = 4 * side * side;
  const g = new GraphBuilder("wide");
  const x = g.input("x", "float32", [1, side]);
  g.output("y", MatMul(g, x, g.constant(f32([side, side]), "w")));
  const lane = new Lane(CPU);
  await lane.loadGraph("wide", encodeModel(g.build()));
  await lane.run("wide", { x: f32([1, side]) }, { y: { dtype: "float32", shape: [1, side] } });
  const loaded = Deno.memoryUsage().rss;
  await lane[Symbol.asyncDispose]();
  assert.ok(loaded - Deno.memoryUsage().rss > 0.5 * weightBytes);
});

Deno.test("a lane that cannot start says why, to every call", async () => {
  // Without the right to call native code ONNX Runtime cannot be loaded, so the lane ends at once.
  const laneModule = new URL("../../../shared/lane/lane.ts", import.meta.url).href;
  const script = `
    import { Lane } from ${JSON.stringify(laneModule)};
    await using lane = new Lane({ device: "cpu", threads: 1 });
    for (const graph of ["first", "second"]) {
      try {
        await lane.loadGraph(graph, { bytes: new Uint8Array(1), weightsFolder: undefined });
      } catch (error) {
        console.log(error.code, error.message);
      }
    }`;
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-read", "--allow-env", "--deny-ffi", "--no-prompt", "--no-check", "-"],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const { stdout } = await child.output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.length, 2, "both calls were answered");
  for (const line of lines) assert.match(line, /^INTERNAL A compute lane stopped: .*ffi/);
});
