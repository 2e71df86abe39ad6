import assert from "node:assert/strict";
import * as ort from "onnxruntime-node";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { mergeLoras } from "../../../shared/checkpoint/lora/merge_loras.ts";
import { FormatError } from "../../../shared/errors.ts";
import { clipTextGraph } from "../../../shared/models/clip_text.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { type WeightLocation, Weights } from "../../../shared/models/weights.ts";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { printGraph } from "../../../shared/onnx/print.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { elementCount, type F32Tensor, type Shape } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { goldenExpert } from "../../support/golden_expert.ts";
import { assertClose } from "../../support/goldens.ts";
import { kohyaTensors, randomLayer, type Tensors, writeLora } from "../../support/lora_files.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { decodeModel } from "../onnx/decode_model.ts";
import { runGraph } from "../onnx/run_graph.ts";

/** A file of tensors in a folder of its own, as locations. */
async function write(folder: TempFolder, name: string, tensors: Tensors) {
  await Deno.mkdir(folder.join(name));
  const path = folder.join(name, "model.safetensors");
  await writeSafetensors(path, tensors);
  const { entries } = await SafetensorsFile.open(path);
  return (key: string): WeightLocation => {
    const { dtype, shape, begin, end } = entries.get(key)!;
    return { dtype, shape, path, offset: begin, length: end - begin };
  };
}

/** W [6, 4, 3, 3] with two updates of ranks 2 and 3, in three folders. */
async function example(folder: TempFolder) {
  const w = randomTensor([6, 4, 3, 3], 1);
  const [up1, down1] = [randomTensor([6, 2, 1, 1], 2), randomTensor([2, 4, 3, 3], 3)];
  const [up2, down2] = [randomTensor([6, 3, 1, 1], 4), randomTensor([3, 4, 3, 3], 5)];
  const model = await write(folder, "model", { w });
  const one = await write(folder, "one", { up: up1, down: down1 });
  const two = await write(folder, "two", { up: up2, down: down2 });
  const updates = [
    { up: one("up"), down: one("down"), scale: 0.5 },
    { up: two("up"), down: two("down"), scale: -2 },
  ];
  const sum = w.data.map((value, i) => {
    const [row, column] = [Math.floor(i / 36), i % 36];
    const product = (up: F32Tensor, down: F32Tensor, rank: number) =>
      Array.from({ length: rank }, (_, k) => up.data[row * rank + k]! * down.data[k * 36 + column]!)
        .reduce((a, b) => a + b);
    return value + 0.5 * product(up1, down1, 2) - 2 * product(up2, down2, 3);
  });
  return { table: new Map([["w", { ...model("w"), updates }]]), sum };
}

function graphOf(
  weights: Weights,
  view: { rows?: readonly [number, number]; shape?: Shape },
): Graph {
  const g = new GraphBuilder("updated");
  g.output("sum", weights.tensor(g, "w", [6, 4, 3, 3], view));
  return g.build();
}

Deno.test("Weights.tensor() adds the updates of a weight, in every view of it", async () => {
  await using folder = await tempFolder();
  const { table, sum } = await example(folder);
  const views = [
    [{}, [6, 4, 3, 3], [0, 6]],
    [{ shape: [24, 9] }, [24, 9], [0, 6]],
    [{ rows: [2, 5] }, [3, 4, 3, 3], [2, 5]],
    [{ rows: [5, 6], shape: [36] }, [36], [5, 6]],
  ] as const;
  for (const [view, shape, [first, end]] of views) {
    const weights = Weights.of(table);
    const graph = graphOf(weights, view);
    weights.check("the model");
    const outputs = await runGraph(graph, {});
    const data = sum.slice(first * 36, end * 36);
    assertClose(`view ${shape}`, outputs.sum as F32Tensor, { dtype: "float32", shape, data }, 1e-6);
  }
});

Deno.test("encodeModel() embeds what lies outside the weights' folder, and nothing else", async () => {
  await using folder = await tempFolder();
  const { table } = await example(folder);
  const graph = graphOf(Weights.of(table), {});
  const { bytes, weightsFolder } = encodeModel(graph);
  assert.equal(weightsFolder, folder.join("model"));
  const kinds = decodeModel(bytes).graph.initializer
    .filter(({ name }) => name.startsWith("w:"))
    .map(({ name, raw_data, data_location }) => [
      name.split(":").at(-1),
      raw_data?.length ?? 0,
      data_location ?? 0,
    ]);
  assert.deepEqual(kinds, [
    ["matrix", 0, 1],
    ["up0", 6 * 2 * 4, 0],
    ["down0", 2 * 36 * 4, 0],
    ["up1", 6 * 3 * 4, 0],
    ["down1", 3 * 36 * 4, 0],
  ]);
});

Deno.test("the graph's print tells strengths apart", async () => {
  await using folder = await tempFolder();
  const { table } = await example(folder);
  const location = table.get("w")!;
  const [first, second] = location.updates;
  const other = new Map([["w", { ...location, updates: [{ ...first!, scale: 0.25 }, second!] }]]);
  const prints = [table, other].map((t) => printGraph(graphOf(Weights.of(t), {})));
  assert.notEqual(prints[0], prints[1]);
});

Deno.test("encodeModel() refuses a LoRA that was cut or removed since it was opened", async () => {
  await using folder = await tempFolder();
  const { table } = await example(folder);
  const graph = graphOf(Weights.of(table), {});
  const refusal = (message: RegExp) =>
    assert.throws(() => encodeModel(graph), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  const path = folder.join("one", "model.safetensors");
  await Deno.truncate(path, (await Deno.stat(path)).size - 1);
  refusal(/one\/model\.safetensors" must not change while it is in use: it ends at byte \d+$/);
  await Deno.remove(path);
  refusal(/one\/model\.safetensors" must not change while it is in use: /);
});

/** Operations, and elements of initializers, that ONNX Runtime is left with after its optimisations. */
async function optimized(folder: TempFolder, graph: Graph) {
  const { bytes, weightsFolder } = encodeModel(graph);
  const path = folder.join("optimized.onnx");
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["cpu"],
    logSeverityLevel: 4,
    optimizedModelFilePath: path,
    extra: { session: { model_external_initializers_file_folder_path: weightsFolder! } },
  });
  await session.release();
  const { node, initializer } = decodeModel(await Deno.readFile(path)).graph;
  return {
    ops: node.map(({ op_type }) => op_type),
    elements: initializer.reduce((sum, { dims }) => sum + elementCount(dims), 0),
  };
}

Deno.test("ONNX Runtime merges LoRAs when it loads: what runs has the same operations", async (t) => {
  await using folder = await tempFolder();
  const model = goldenExpert("a");
  const plain = await openCheckpoint(model);
  const layers = await Promise.all(
    (["unet", "text_encoder"] as const).flatMap((part) =>
      [...(part === "unet" ? plain.unet : plain.text!).weights]
        .filter(([key, { shape }]) => shape.length > 1 && !key.includes("embeddings"))
        .map(([key]) => randomLayer(model, part, key.replace(/\.weight$/, "")))
    ),
  );
  const path = await writeLora(folder.join("lora.safetensors"), kohyaTensors(layers));
  const { checkpoint } = await mergeLoras(plain, [{ path, weight: 1 }]);
  const blocks = unetBlockTable(plain.unet.config);
  const graphs = ({ unet, text }: typeof plain) => {
    const weights = Weights.of(unet.weights);
    return [
      clipTextGraph(text!.config, Weights.of(text!.weights)),
      ...blocks.map((block) => unetBlockGraph(block, unet.config, weights)),
    ];
  };
  const merged = graphs(checkpoint);
  for (const [i, graph] of graphs(plain).entries()) {
    await t.step(graph.name, async () => {
      assert.ok(merged[i]!.nodes.length > graph.nodes.length, "the LoRA is in the graph");
      const [before, after] = [
        await optimized(folder, graph),
        await optimized(folder, merged[i]!),
      ];
      assert.deepEqual(after.ops, before.ops);
      assert.equal(after.elements, before.elements);
    });
  }
});
