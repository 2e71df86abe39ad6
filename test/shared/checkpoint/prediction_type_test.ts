import assert from "node:assert/strict";
import {
  filePredictionType,
  folderPredictionType,
} from "../../../shared/checkpoint/prediction_type.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("filePredictionType() knows the marker tensor and the metadata, and takes noise otherwise", async () => {
  await using temp = await tempFolder();
  const path = temp.join("m.safetensors");
  const cases = [
    [{}, {}, "epsilon"],
    [{ v_pred: f32([0]) }, {}, "v_prediction"],
    [{}, { "modelspec.prediction_type": "v" }, "v_prediction"],
    [{}, { "modelspec.prediction_type": "epsilon" }, "epsilon"],
  ] as const;
  for (const [tensors, metadata, expected] of cases) {
    await writeSafetensors(path, { x: f32([1]), ...tensors }, metadata);
    assert.equal(filePredictionType(await SafetensorsFile.open(path)), expected);
  }
});

Deno.test("folderPredictionType() reads the scheduler's config, and refuses what it does not know", async () => {
  await using temp = await tempFolder();
  assert.equal(await folderPredictionType(temp.join(".")), "epsilon");
  await Deno.mkdir(temp.join("scheduler"));
  const config = temp.join("scheduler/scheduler_config.json");
  await Deno.writeTextFile(config, '{"prediction_type": "v_prediction"}');
  assert.equal(await folderPredictionType(temp.join(".")), "v_prediction");
  await Deno.writeTextFile(config, '{"prediction_type": "sample"}');
  await assert.rejects(folderPredictionType(temp.join(".")), /"prediction_type" must be one of/);
});
