import assert from "node:assert/strict";
import { filePredictionType } from "../../../shared/checkpoint/prediction_type.ts";
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
    [{}, { "modelspec.predict_key": "v" }, "v_prediction"],
  ] as const;
  for (const [tensors, metadata, expected] of cases) {
    await writeSafetensors(path, { x: f32([1]), ...tensors }, metadata);
    assert.equal(filePredictionType(await SafetensorsFile.open(path)), expected);
  }
});
