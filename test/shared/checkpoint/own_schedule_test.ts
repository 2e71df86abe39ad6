import assert from "node:assert/strict";
import { fileSchedule, folderSchedule } from "../../../shared/checkpoint/own_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../shared/models/config/scheduler_config.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

const MARK = f32([0]);

/** What a file with these marks says. */
async function ofFile(
  temp: TempFolder,
  marks: Readonly<Record<string, typeof MARK>>,
  metadata: Readonly<Record<string, string>> = {},
) {
  const path = temp.join("m.safetensors");
  await writeSafetensors(path, { x: f32([1]), ...marks }, metadata);
  return fileSchedule(await SafetensorsFile.open(path), path);
}

Deno.test("fileSchedule() reads the marks v_pred and ztsnr, and words of the metadata", async () => {
  await using temp = await tempFolder();
  const velocity = { ...DEFAULT_SCHEDULER_CONFIG, predictionType: "v_prediction" };
  const zero = { ...velocity, rescaleBetasZeroSnr: true };
  const key = "modelspec.prediction_type";
  assert.equal(await ofFile(temp, {}), undefined);
  assert.equal(await ofFile(temp, {}, { [key]: "epsilon" }), undefined);
  // As in ComfyUI, which looks for it beside v_pred alone; but it is told.
  const ignored = (mark: string) => ({
    config: DEFAULT_SCHEDULER_CONFIG,
    source: mark,
    ignored: mark,
  });
  assert.deepEqual(await ofFile(temp, { ztsnr: MARK }), ignored("ztsnr"));
  assert.deepEqual(await ofFile(temp, { v_pred: MARK }), { config: velocity, source: "v_pred" });
  assert.deepEqual(await ofFile(temp, { v_pred: MARK, ztsnr: MARK }), {
    config: zero,
    source: "v_pred, ztsnr",
  });
  assert.deepEqual(await ofFile(temp, {}, { [key]: "v" }), { config: velocity, source: key });
  const kohya = { ss_v_parameterization: "True" };
  assert.deepEqual(await ofFile(temp, {}, kohya), {
    config: velocity,
    source: "ss_v_parameterization",
  });
  assert.deepEqual(await ofFile(temp, {}, { ...kohya, ss_zero_terminal_snr: "True" }), {
    config: zero,
    source: "ss_v_parameterization, ss_zero_terminal_snr",
  });
  const noise = { ss_v_parameterization: "False", ss_zero_terminal_snr: "True" };
  assert.deepEqual(await ofFile(temp, {}, noise), ignored("ss_zero_terminal_snr"));
});

Deno.test("fileSchedule() refuses EDM, flow matching and clean latents by name", async () => {
  await using temp = await tempFolder();
  for (
    const mark of ["edm_mean", "edm_std", "edm_vpred.sigma_max"]
  ) {
    await assert.rejects(ofFile(temp, { [mark]: MARK, v_pred: MARK }), {
      name: "FormatError",
      message: new RegExp(
        `m\\.safetensors" is not supported: its mark "${mark}" is that of EDM .*CosXL`,
      ),
    });
  }
  await assert.rejects(
    ofFile(temp, {}, { "modelspec.architecture": "stable-diffusion-xl-v1-refiner" }),
    { name: "FormatError", message: /"modelspec\.architecture" is ".*", the SDXL refiner/ },
  );
  for (
    const [word, kind] of [
      ["edm", /which is EDM/],
      ["flow_prediction", /which is flow matching/],
      ["rf", /which is flow matching/],
      ["sample", /"sample", a prediction of the clean latents/],
    ] as const
  ) {
    await assert.rejects(ofFile(temp, {}, { "modelspec.prediction_type": word }), {
      name: "FormatError",
      message: kind,
    });
  }
});

Deno.test("folderSchedule() reads the scheduler's config, and refuses what it does not know", async () => {
  await using temp = await tempFolder();
  assert.equal(await folderSchedule(temp.join(".")), undefined);
  await Deno.mkdir(temp.join("scheduler"));
  const write = (text: string) =>
    Deno.writeTextFile(temp.join("scheduler/scheduler_config.json"), text);
  await write(
    '{"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction", ' +
      '"timestep_spacing": "trailing", "rescale_betas_zero_snr": true, "steps_offset": 0}',
  );
  assert.deepEqual(await folderSchedule(temp.join(".")), {
    config: {
      ...DEFAULT_SCHEDULER_CONFIG,
      predictionType: "v_prediction",
      timestepSpacing: "trailing",
      rescaleBetasZeroSnr: true,
      stepsOffset: 0,
    },
    source: "scheduler_config.json",
  });
  for (const [name, madeFor] of [["LCMScheduler", "lcm"], ["TCDScheduler", "tcd"]]) {
    await write(JSON.stringify({ _class_name: name }));
    assert.equal((await folderSchedule(temp.join(".")))!.madeFor, madeFor);
  }
  for (
    const [text, message] of [
      ['{"prediction_type": "sample"}', /"prediction_type" must be one of/],
      ['{"_class_name": "FlowMatchEulerDiscreteScheduler"}', /which is flow matching/],
      ['{"_class_name": "NoScheduler"}', /"_class_name" must be one of DDIM/],
      ["[1]", /must be a JSON object/],
      ['{"beta_end": 0.01', /is not JSON/],
    ] as const
  ) {
    await write(text);
    await assert.rejects(folderSchedule(temp.join(".")), { name: "FormatError", message });
  }
});
