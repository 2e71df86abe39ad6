import assert from "node:assert/strict";
import { join } from "node:path";
import { Lane } from "../../../shared/lane/lane.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Cast } from "../../../shared/onnx/ops/elementwise.ts";
import { DTYPES } from "../../../shared/tensor/dtype.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../../shared/tensor/half.ts";
import { bytesOf, type F32Tensor, type Tensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { runGraph, runOn } from "./run_graph.ts";

/** A safetensors file whose header ends at an offset of this remainder modulo 8: the format allows any. */
async function writeAt(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  remainder: number,
): Promise<void> {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const data_offsets = [offset, offset += data.byteLength];
    return [name, { dtype: DTYPES[dtype].safetensors, shape, data_offsets }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const header = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8 + remainder));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  const parts = [length, header, ...Object.values(tensors).map((tensor) => bytesOf(tensor))];
  await Deno.writeFile(path, new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()));
}

/** What the runtime reads of the file, as f32. */
async function readThroughRuntime(
  lane: Lane,
  file: SafetensorsFile,
  name: string,
): Promise<Tensor> {
  const { dtype, shape, begin, end } = file.entry(name);
  const g = new GraphBuilder(`${name} of ${file.path}`);
  const weight = g.weight(name, dtype, shape, {
    path: await Deno.realPath(file.path),
    offset: begin,
    length: end - begin,
  });
  g.output("values", Cast(g, weight, "float32", DTYPES.float32.onnx));
  return (await runOn(lane, g.build(), {})).values!;
}

Deno.test("ONNX Runtime reads weights at any byte offset of the checkpoint: f32, f16, bf16", async () => {
  const folder = await Deno.makeTempDir();
  await using lane = new Lane({ device: "cpu", threads: 1 });
  try {
    const values = randomTensor([7, 5], 11) as F32Tensor & { data: Float32Array<ArrayBuffer> };
    const tensors: Record<string, Tensor> = {
      single: values,
      half: { dtype: "float16", shape: [7, 5], data: float32ToFloat16(values.data) },
      brain: { dtype: "bfloat16", shape: [7, 5], data: float32ToBfloat16(values.data) },
    };
    for (const remainder of [0, 1, 2, 3]) {
      const path = join(folder, `offset ${remainder}.safetensors`);
      await writeAt(path, tensors, remainder);
      const file = await SafetensorsFile.open(path);
      assert.equal(file.entry("single").begin % 4, remainder % 4, "the offset under test");
      for (const [name, tensor] of Object.entries(tensors)) {
        const seen = await readThroughRuntime(lane, file, name);
        assert.ok(
          bitEqual(seen.data, toFloat32(tensor).data),
          `${name} at ${file.entry(name).begin} differs from the widened values`,
        );
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("ONNX Runtime refuses a weight that lies past the end of its file, with a typed error", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "short.safetensors");
    await writeAt(path, { w: randomTensor([4], 1) }, 0);
    const g = new GraphBuilder("past");
    const { size } = await Deno.stat(path);
    g.output("values", g.weight("w", "float32", [4], { path, offset: size - 12, length: 16 }));
    await assert.rejects(runGraph(g.build(), {}), { name: "TuttiError", code: "INTERNAL" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
