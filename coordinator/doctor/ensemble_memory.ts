/** Whether the workers that an ensemble would start here fit into the memory of what they compute on. @module */

import { openCheckpoint } from "../../shared/checkpoint/checkpoint.ts";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import { cudaDevices, spreadDevices } from "../../shared/device/spread_devices.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import { type EnsembleExpert, loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { findRunningWorkers } from "../cluster/worker_records.ts";
import { type PredictedMemory, predictMemory, usualRun } from "../inspect/predict_memory.ts";
import { absent, failed, type Finding, ok } from "./finding.ts";
import { freeMemory } from "./free_memory.ts";

/** What one expert's worker will hold. */
export interface ExpertNeed extends Pick<PredictedMemory, "drawBytes" | "peakBytes"> {
  readonly name: string;
}

/**
 * @param file ensemble file
 * @throws {FormatError} if it is wrong, or a model of it cannot be opened
 */
export async function* checkEnsemble(file: string): AsyncGenerator<Finding> {
  const { experts } = await loadEnsembleFile(file);
  const started: EnsembleExpert[] = [];
  for (const expert of experts) {
    if (expert.model !== undefined && !await runsAlready(expert)) started.push(expert);
  }
  const running = experts.filter((expert) => !started.includes(expert)).map(({ name }) => name);
  if (running.length > 0) {
    yield ok("workers", `${running.join(", ")}: run already, or elsewhere; they are not counted`);
  }
  const { device } = await chooseDevice("auto");
  const devices = spreadDevices(started.map((each) => each.device), device, await cudaDevices());
  for (const each of new Set(devices)) {
    const here = started.filter((_, i) => devices[i] === each);
    yield describeFit(each, await Promise.all(here.map(needOf)), await freeMemory(each));
  }
}

/**
 * @param free bytes; `undefined` where nobody tells
 */
export function describeFit(
  device: Device,
  needs: readonly ExpertNeed[],
  free: number | undefined,
): Finding {
  const name = `memory ${device}`;
  const sum = (key: "drawBytes" | "peakBytes") => needs.reduce((all, need) => all + need[key], 0);
  const [draw, peak] = [sum("drawBytes"), sum("peakBytes")];
  const each = needs.map((need) => `${need.name} ${formatBytes(need.drawBytes)}`).join(", ");
  const needed = `${each}: ${formatBytes(draw)} to draw, ${formatBytes(peak)} while they load`;
  if (free === undefined) {
    return absent(
      name,
      `${needed}; what is free is not known`,
      "hold it against the device's size",
    );
  }
  const value = `${needed}; ${formatBytes(free)} free`;
  if (peak <= free) return ok(name, value);
  const cure = device.startsWith("cuda")
    ? '--precision f16 takes half (see "tutti verify --precision f16"), device = "cuda:1" another GPU; '
    : "end other programs; ";
  const elsewhere =
    'or let another machine serve an expert ("tutti worker" there, its address in the file)';
  if (draw > free) return failed(name, value, `${cure}${elsewhere}`);
  return absent(
    name,
    value,
    `start the workers one after another with "tutti up"; ${cure}${elsewhere}`,
  );
}

async function runsAlready({ model, name, loras }: EnsembleExpert): Promise<boolean> {
  const wanted = { name, ...(loras && { loras }) };
  return await findRunningWorkers(model!, wanted).then(({ length }) => length > 0, () => false);
}

async function needOf({ name, model, configFrom }: EnsembleExpert): Promise<ExpertNeed> {
  const options = configFrom === undefined ? {} : { configFrom };
  const checkpoint = await openCheckpoint(model!, options);
  return { name, ...predictMemory(checkpoint, usualRun(checkpoint)) };
}
