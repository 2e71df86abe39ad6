import assert from "node:assert/strict";
import { GraphRunner } from "../../../shared/engine/graph_runner.ts";
import { openUNetFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { heldBytes, residentMemory } from "../../../coordinator/bench/resident_memory.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { Cast } from "../../../shared/onnx/ops/elementwise.ts";
import { Gather } from "../../../shared/onnx/ops/movement.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { DTYPES } from "../../../shared/tensor/dtype.ts";
import { f32, type F32Tensor, i64 } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { assertFar, goldenPath } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { HEAVY_OUTPUT, heavyGraph, heavyInput } from "../lane/heavy_graph.ts";

const CPU = { device: "cpu", threads: 1, lanes: 1 } as const;
const OUTPUT = { y: { dtype: "float32", shape: [2] } } as const;

/** `y = x + weight`, the weight in a file. */
function addWeight(name: string, path: string, offset: number) {
  const g = new GraphBuilder(name);
  const weight = g.weight("weight", "float32", [2], { path, offset, length: 8 });
  g.output("y", Add(g, g.input("x", "float32", [2]), weight));
  return g.build();
}

Deno.test("GraphRunner spreads calls over its lanes, with the same bits from each", async () => {
  await using runner = new GraphRunner([heavyGraph(5)], { ...CPU, lanes: 2 });
  assert.deepEqual(runner.loads, [0, 0]);
  const run = () => runner.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT);
  const calls = [run(), run()];
  assert.deepEqual(runner.loads, [1, 1], "the second call goes to the lane that is idle");
  const [a, b] = await Promise.all(calls);
  assert.ok(bitEqual(a!.outputs.y!.data, b!.outputs.y!.data));
  assert.deepEqual(runner.loads, [0, 0]);
});

Deno.test("GraphRunner names the graph in errors, and refuses one that it has not", async () => {
  await using runner = new GraphRunner([heavyGraph(1)], CPU);
  await assert.rejects(runner.run("absent", {}, {}), {
    name: "TuttiError",
    code: "NOT_FOUND",
    message: 'There is no graph "absent"',
  });
  await assert.rejects(runner.run("heavy", { x: f32([2, 2]) }, HEAVY_OUTPUT), {
    name: "TuttiError",
    code: "INTERNAL",
    message: /^Cannot run "heavy": ONNX Runtime failed: /,
    details: { graph: "heavy" },
  });
  const { outputs } = await runner.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT);
  assert.ok(Math.abs((outputs.y as F32Tensor).data[0]! - 1 / 512) < 1e-6);
});

Deno.test("GraphRunner computes a graph in f32 where that is wanted, beside others in f16", async () => {
  const lowering = { maxFusedHeadDim: Infinity, precision: "f16" } as const;
  const { config, weights } = await openUNetFolder(goldenPath("sd15", "expert-a", "unet"));
  const block = unetBlockTable(config).find(({ id }) => id === "IN10")!;
  const build = (name: string) => () => ({
    ...unetBlockGraph(block, config, Weights.of(weights)),
    name,
  });
  await using half = new GraphRunner([], { ...CPU, lowering });
  await using full = new GraphRunner([], CPU);
  half.add("half", build("half"));
  half.add("full", build("full"), { fullPrecision: true });
  full.add("full", build("full"));
  const inputs = { hidden_states: randomTensor([1, 32, 4, 4], 1), temb: randomTensor([1, 64], 2) };
  const run = async (runner: GraphRunner, name: string) => {
    const { outputs } = await runner.run(name, inputs, {
      output: { dtype: "float32", shape: [1, 32, 4, 4] },
    });
    return outputs.output as F32Tensor;
  };
  const expected = await run(full, "full");
  assert.ok(bitEqual((await run(half, "full")).data, expected.data));
  assertFar("f16", await run(half, "half"), expected, 1e-5);
});

Deno.test("GraphRunner tries again to load a graph whose weights could not be read", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(folder.join("models"));
  const path = folder.join("models", "weights.safetensors");
  await writeSafetensors(path, { weight: f32([2], [10, 20]) });
  const { begin } = (await SafetensorsFile.open(path)).entry("weight");
  await using runner = new GraphRunner([addWeight("add", path, begin)], CPU);
  // The folder: a file that is renamed itself has another ctime, and is refused for that.
  await Deno.rename(folder.join("models"), folder.join("away"));
  await assert.rejects(runner.run("add", { x: f32([2]) }, OUTPUT), {
    code: "INTERNAL",
    message: /^Cannot run "add": ONNX Runtime failed: /,
  });
  await Deno.rename(folder.join("away"), folder.join("models"));
  const { outputs } = await runner.run("add", { x: f32([2], [1, 2]) }, OUTPUT);
  assert.deepEqual([...(outputs.y as F32Tensor).data], [11, 22]);
});

Deno.test("GraphRunner.loadAhead() loads all graphs on two threads, and runs meanwhile give the bits they give alone", async () => {
  const names = Array.from({ length: 9 }, (_, i) => `heavy${i}`);
  const graphs = names.map((name) => ({ ...heavyGraph(2), name }));
  await using runner = new GraphRunner(graphs, { ...CPU, threads: 2 });
  const run = (name: string) => runner.run(name, { x: heavyInput() }, HEAVY_OUTPUT);
  const alone = await run(names[0]!);
  assert.ok(alone.loadMs > 0, "the run waited for its graph");
  runner.loadAhead(names);
  assert.equal(runner.loadingGraphs.size, 2);
  for (const name of names) {
    assert.ok(bitEqual((await run(name)).outputs.y!.data, alone.outputs.y!.data), name);
  }
  assert.deepEqual(runner.loadedGraphs, new Set(names));
  assert.equal(runner.loadingGraphs.size, 0);
  assert.equal((await run(names[4]!)).loadMs, 0);
  // Each graph is released and loaded again where it was.
  await runner.releaseGraphs();
  assert.equal(runner.loadedGraphs.size, 0);
  assert.ok(bitEqual((await run(names[3]!)).outputs.y!.data, alone.outputs.y!.data));
});

Deno.test("GraphRunner.loadAhead() leaves a graph that cannot be loaded to its run, and ends with the runner", async () => {
  const graphs = [addWeight("away", "/nowhere/weights", 0), heavyGraph(1)];
  const runner = new GraphRunner(graphs, { ...CPU, threads: 2 });
  runner.loadAhead(["away", "heavy"]);
  await assert.rejects(
    runner.run("away", { x: f32([2]) }, OUTPUT),
    /^TuttiError: Cannot run "away"/,
  );
  await runner.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT);
  await assert.rejects(runner.load("away"), { message: /^Cannot load "away": ONNX Runtime/ });
  const closed = runner[Symbol.asyncDispose]();
  runner.loadAhead(["away"]);
  await closed;
});

Deno.test("GraphRunner: a closed one refuses, and rejects what is under way", async () => {
  const runner = new GraphRunner([heavyGraph(20)], CPU);
  const call = runner.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT);
  const closed = runner[Symbol.asyncDispose]();
  await assert.rejects(call, { code: "UNAVAILABLE", message: /^Cannot run "heavy": / });
  await assert.rejects(runner.run("heavy", { x: heavyInput() }, HEAVY_OUTPUT), {
    code: "UNAVAILABLE",
  });
  await closed;
});

Deno.test({
  name: "GraphRunner.releaseGraphs() gives the weights' memory back to the system",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using folder = await tempFolder();
    const path = folder.join("halves");
    // Above 64 MB in f16 too: so much glibc may keep in the arena of a thread that was there before lanes were.
    const shape = [2560, 16 * 1024];
    const heldAs = 4 * shape[0]! * shape[1]!;
    // Zeros without an array of ours, whose own memory would be measured too.
    await Deno.writeFile(path, new Uint8Array());
    await Deno.truncate(path, heldAs / 2);
    const g = new GraphBuilder("rows");
    const weight = g.weight("weight", "float16", shape, {
      path,
      offset: 0,
      length: heldAs / 2,
    });
    g.output(
      "y",
      Gather(g, Cast(g, weight, "float32", DTYPES.float32.onnx), g.input("x", "int64", [1])),
    );
    await using runner = new GraphRunner([g.build()], CPU);
    const held = async () => heldBytes(await residentMemory(Deno.pid));
    const run = () =>
      runner.run("rows", { x: i64([1], [7]) }, {
        y: { dtype: "float32", shape: [1, shape[1]!] },
      });
    // The lane's thread takes memory of its own when it starts.
    await run();
    await runner.releaseGraphs();
    const before = await held();
    await run();
    await run();
    const loaded = await held();
    assert.ok(loaded - before > 0.8 * heldAs, `${loaded - before} bytes for the weights`);
    assert.deepEqual([...runner.loadedGraphs], ["rows"]);
    await runner.releaseGraphs();
    const left = (await held()) - before;
    assert.ok(left < 0.2 * heldAs, `${left} bytes are left`);
    assert.deepEqual([...runner.loadedGraphs], []);
  },
});
