import assert from "node:assert/strict";
import { AttentionMaps, readLatents, writeLatents } from "../../../coordinator/cli/latents_file.ts";
import { FormatError } from "../../../shared/errors.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, sliceRows, type Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("readLatents() reads what writeLatents() wrote, bit for bit", async () => {
  await using folder = await tempFolder();
  const latents = randomTensor([2, 4, 3, 5], 1);
  await writeLatents(folder.join("a.safetensors"), latents);
  assert.deepEqual(await readLatents(folder.join("a.safetensors"), 4), latents);
});

Deno.test("readLatents() takes the only tensor, or the one named latents, of any float dtype", async () => {
  await using folder = await tempFolder();
  const latents = f32([1, 4, 1, 1], [0.5, -1, 2, 0.25]);
  const half: Tensor = {
    dtype: "float16",
    shape: latents.shape,
    data: new Uint16Array([14336, 48128, 16384, 13312]),
  };
  const cases = [{ noise: latents }, { latents, noise: f32([3]) }, { latents: half }];
  for (const [i, tensors] of cases.entries()) {
    const path = folder.join(`${i}.safetensors`);
    await writeSafetensors(path, tensors as unknown as Record<string, Tensor>);
    assert.deepEqual(await readLatents(path, 4), latents, String(i));
  }
});

Deno.test("readLatents() refuses a file without latents, and shapes that no expert takes", async () => {
  await using folder = await tempFolder();
  const path = folder.join("bad.safetensors");
  const refuses = async (tensors: Record<string, Tensor>, message: RegExp) => {
    await writeSafetensors(path, tensors);
    await assert.rejects(readLatents(path, 4), (error: Error) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, message);
      return true;
    });
  };
  await refuses({}, /must hold a tensor "latents": current names are none$/);
  await refuses({ a: f32([1]), b: f32([1]) }, /must hold a tensor "latents": .* are a, b$/);
  for (const shape of [[4, 8, 8], [1, 3, 8, 8], [0, 4, 8, 8], [1, 4, 8, 0], [1, 4, 8, 8, 1]]) {
    await refuses({ latents: f32(shape) }, /"latents" of ".*" must be \[B, 4, H, W\]: /);
  }
});

Deno.test("AttentionMaps writes the maps that there were, by step and last block", async () => {
  await using folder = await tempFolder();
  const maps = new AttentionMaps();
  const report = {
    ...{ first: "IN00", firstRow: 0, experts: [], aggregateMs: 0, aggregatedFeatures: f32([1]) },
    ...{ features: [] },
    attentionMap: randomTensor([2, 3, 4, 5], 1),
  };
  maps.add({ ...report, last: "IN00", stepIndex: 0 });
  maps.add({ ...report, last: "OUT11", stepIndex: 12 });
  const { attentionMap: _, ...without } = report;
  maps.add({ ...without, last: "M00", stepIndex: 1 });
  const path = folder.join("maps.safetensors");
  await maps.write(path, { experts: '["a"]' });
  const file = await SafetensorsFile.open(path);
  assert.deepEqual([...file.entries.keys()].sort(), ["000.IN00", "012.OUT11"]);
  assert.deepEqual(await file.read("012.OUT11"), report.attentionMap);
  assert.deepEqual({ ...file.metadata }, { experts: '["a"]' });
});

Deno.test("AttentionMaps puts the rows of several waves together in their order, whichever came first", async () => {
  await using folder = await tempFolder();
  const maps = new AttentionMaps();
  const whole = randomTensor([4, 3, 2, 5], 1);
  for (const [start, end] of [[1, 3], [3, 4], [0, 1]] as const) {
    maps.add({
      ...{ first: "IN00", last: "IN00", stepIndex: 0, firstRow: start, experts: [] },
      ...{ aggregateMs: 0, features: [], aggregatedFeatures: f32([1]) },
      attentionMap: sliceRows(whole, start, end),
    });
  }
  const path = folder.join("maps.safetensors");
  await maps.write(path, {});
  assert.deepEqual(await (await SafetensorsFile.open(path)).read("000.IN00"), whole);
});
