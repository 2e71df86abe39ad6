/**
 * What commands have in common that put an ensemble to data: which experts, what computes them, and how they are opened.
 *
 * @module
 */

import type { Command } from "commander";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { inGroup } from "../../shared/terminal/grouped_help.ts";
import { addNatsOptions } from "../../shared/nats/nats_flags.ts";
import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import { type Ensemble, openEnsemble } from "../ensemble/ensemble.ts";
import type { EnsembleFlags, EnsemblePlan } from "../ensemble/ensemble_plan.ts";
import { type DataRecords, readRecords } from "../training/dataset/records.ts";
import { prepareData, type PreparedData } from "../training/prepare_data.ts";
import type { DataFlags } from "./data_options.ts";
import { type ParkFlags, parkOption, ReplicaReport } from "./replica_flags.ts";
import { skippedWarnings } from "./train_report.ts";
import { trainingCache } from "./training_cache.ts";
import {
  PlaneFallbacks,
  planeOption,
  type TransportFlags,
  transportOptions,
  wireDtypeOption,
} from "./transport_flags.ts";

export interface DataEnsembleFlags
  extends Omit<EnsembleFlags, "sabw">, DeviceFlags, TransportFlags, ParkFlags, DataFlags {
  readonly local: boolean;
  /** Not of `tutti train`: a spare session could catch up with one that keeps inputs only by computing its whole step again. */
  readonly hedge?: boolean;
}

/** Which experts: the first options of a command. */
export function addExpertOptions(command: Command): Command {
  inGroup(command, "Experts", (experts) =>
    experts
      .option("--ensemble <file>", "ensemble file (TOML)")
      .option("--workers <addresses>", "running workers, HOST:PORT,HOST:PORT")
      .option("--local", "open the experts in this process instead of in workers", false));
  return addNatsOptions(command, "find workers over NATS");
}

/** @param what of the coordinator's own parts computes on the device */
export function addComputeOptions(command: Command, what: string): Command {
  return command
    .addOption(deviceOption(`what computes ${what}, and experts that this command opens`))
    .addOption(precisionOption("experts that this command opens compute"))
    .addOption(planeOption())
    .addOption(wireDtypeOption())
    .addOption(parkOption());
}

export function addPartOptions(command: Command): Command {
  return inGroup(command, "Experts", (experts) =>
    experts
      .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
      .option("--tokenizer <folder>", "tokenizer (default: the ensemble's)"));
}

export interface OpenContext {
  readonly nats: NatsOptions | undefined;
  /** For a person who waits. */
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** @throws {TuttiError} about the data before any expert is opened: a path that is wrong costs no time */
export async function openWithData(
  plan: EnsemblePlan,
  flags: DataEnsembleFlags,
  { nats, note, warn, signal }: OpenContext,
): Promise<{
  readonly ensemble: Ensemble;
  readonly records: DataRecords;
  readonly device: Device;
}> {
  const records = await readRecords(flags.data);
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  const { hedge = false } = flags;
  const ensemble = await openEnsemble(plan, {
    ...{ signal, device, precision: flags.precision, isLocal: flags.local, onProgress: note },
    transport: transportOptions(flags, new PlaneFallbacks(warn)),
    ...(nats && { nats }),
    replicas: { parkMs: flags.park * 1000, hedge, onEvent: new ReplicaReport(warn).add },
  });
  for (const warning of ensemble.warnings) warn(warning);
  return { ensemble, records, device };
}

/** Latents and text states of the first images of the data that can be read. */
export async function prepareImages(
  ensemble: Ensemble,
  records: DataRecords,
  { seed, size, latents, cache, images }: DataFlags & { readonly images: number },
  { warn, signal }: Pick<OpenContext, "warn" | "signal">,
): Promise<PreparedData> {
  const data = await prepareData(ensemble, {
    ...{ data: records, seed, cache: cache ?? trainingCache(), most: images, signal },
    ...(size !== undefined && { size }),
    ...(latents !== undefined && { latents }),
  });
  skippedWarnings(data.skipped).forEach(warn);
  return data;
}
