/**
 * What the way back through U-Net blocks costs, in forward passes of the same blocks. SD1.5's own sizes with random weights; forward and
 * backward alternate in one lane with one thread, so that what else the machine does hits both.
 *
 *     deno run -A test/bench/backward_bench.ts [--size 256] [--batch 2] [--runs 5] IN01 OUT05 ...
 *
 * @module
 */

import { parseArgs } from "node:util";
import { SD15_UNET } from "../../shared/models/config/known_configs.ts";
import { readWeightTable } from "../../shared/checkpoint/weight_files.ts";
import { Lane } from "../../shared/lane/lane.ts";
import { sizeAtScale } from "../../shared/models/blocks.ts";
import { unetBlockGraph } from "../../shared/models/unet/block_graph.ts";
import { type UNetBlock, unetBlockTable } from "../../shared/models/unet/block_table.ts";
import { blockVjpGraph } from "../../shared/models/unet/block_vjp.ts";
import { Weights } from "../../shared/models/weights.ts";
import { encodeModel } from "../../shared/onnx/encode.ts";
import { evaluateShape, type Sizes } from "../../shared/onnx/evaluate_dim.ts";
import type { Graph } from "../../shared/onnx/graph.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { printLine } from "../../shared/terminal/stdout.ts";
import { f32, type F32Tensor, i64, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";
import { randomTensor } from "../support/expert_inputs.ts";
import { tempFolder } from "../support/temp_folder.ts";

const VAE_FACTOR = 8;
const TOKENS = 77;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string", default: "256" },
    batch: { type: "string", default: "2" },
    runs: { type: "string", default: "5" },
  },
});
const [size, batch, runs] = [values.size, values.batch, values.runs].map(Number) as [
  number,
  number,
  number,
];

/** Random weights of the size that keeps activations near 1. */
async function writeWeights(block: UNetBlock, path: string): Promise<void> {
  const weights = Weights.of(new Map());
  unetBlockGraph(block, SD15_UNET, weights);
  const tensors = [...weights.demanded].map(([key, shape], i): [string, F32Tensor] => {
    const gain = 1 / Math.sqrt(shape.slice(1).reduce((product, dim) => product * dim, 1));
    return [key, f32(shape, randomTensor(shape, i + 1).data.map((value) => gain * value))];
  });
  await writeSafetensors(path, Object.fromEntries(tensors));
}

function sizesOf(block: UNetBlock): Sizes {
  const latent = size / VAE_FACTOR;
  const [input, output] = [block.inScale, block.outScale].map((s) => sizeAtScale(latent, s));
  return new Map([
    ["B", batch],
    ["H", input!],
    ["W", input!],
    ["L", TOKENS],
    ["TH", output!],
    ["TW", output!],
  ]);
}

async function run(lane: Lane, graph: Graph, sizes: Sizes): Promise<number> {
  const inputs = graph.inputs.map(({ name, dtype, shape }, i): [string, Tensor] => [
    name,
    dtype === "int64"
      ? i64([2], [sizes.get("TH")!, sizes.get("TW")!])
      : randomTensor(evaluateShape(shape, sizes), i + 1),
  ]);
  const outputs = graph.outputs.map(({ name, shape }) =>
    [name, { dtype: "float32", shape: evaluateShape(shape, sizes) as Shape }] as const
  );
  const result = await lane.run(
    graph.name,
    Object.fromEntries(inputs),
    Object.fromEntries(outputs),
  );
  return result.computeMs;
}

const median = (times: readonly number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;

await using folder = await tempFolder();
const totals = [0, 0];
const blocks = unetBlockTable(SD15_UNET);
for (const id of positionals.length > 0 ? positionals : ["IN01", "OUT05"]) {
  const block = blocks.find((candidate) => candidate.id === id)!;
  const path = folder.join(`${id}.safetensors`);
  await writeWeights(block, path);
  const table = await readWeightTable(path);
  const graphs = [
    unetBlockGraph(block, SD15_UNET, Weights.of(table)),
    blockVjpGraph(block, SD15_UNET, Weights.of(table)),
  ];
  const times: number[][] = [[], []];
  {
    await using lane = new Lane({ device: "cpu", threads: 1 });
    for (const graph of graphs) await lane.loadGraph(graph.name, encodeModel(graph));
    // The first run of each warms up.
    for (let i = 0; i <= runs; i++) {
      for (const [k, graph] of graphs.entries()) {
        const elapsedMs = await run(lane, graph, sizesOf(block));
        if (i > 0) times[k]!.push(elapsedMs);
      }
    }
  }
  await Deno.remove(path);
  const [forward, backward] = times.map(median) as [number, number];
  totals[0]! += forward;
  totals[1]! += backward;
  const ratio = median(times[1]!.map((elapsedMs, i) => elapsedMs / times[0]![i]!));
  printLine(
    `${id.padEnd(6)} forward ${forward.toFixed(0)} ms, backward ${backward.toFixed(0)} ms: ${
      ratio.toFixed(2)
    }x (median of pairs)`,
  );
}
printLine(`All: backward ${(totals[1]! / totals[0]!).toFixed(2)}x forward`);
