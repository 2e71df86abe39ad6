/** What commands that draw with an ensemble have in common: the flags that say with which one and how it is reached, and its opening. @module */

import type { Command } from "commander";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { UsageError } from "../../shared/errors.ts";
import { addNatsOptions } from "../../shared/nats/nats_flags.ts";
import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { parseWireDtypes } from "../cluster/tensor_transport.ts";
import { type Ensemble, openEnsemble } from "../ensemble/ensemble.ts";
import type { EnsembleFlags, EnsemblePlan } from "../ensemble/ensemble_plan.ts";
import { collectExpertLora } from "../ensemble/lora_flags.ts";
import { flagRefusal } from "../jobs/flag_refusal.ts";
import type { ChosenSettings } from "../settings/choose_settings.ts";
import type { Settings } from "../settings/settings.ts";
import { hedgeOption, parkOption, type ReplicaFlags, ReplicaReport } from "./replica_flags.ts";
import {
  PlaneFallbacks,
  planeOption,
  type TransportFlags,
  transportOptions,
} from "./transport_flags.ts";
import { type WaitFlags, waitOption } from "./wait_option.ts";

export interface DrawingFlags extends EnsembleFlags, DeviceFlags, ReplicaFlags, WaitFlags {
  readonly plane: TransportFlags["plane"];
  readonly force: boolean;
}

/** Adds the flags that name the experts. */
export function addExpertOptions(command: Command): Command {
  return addNatsOptions(
    command
      .optionsGroup(headingOf("Experts"))
      .option("--ensemble <file>", "ensemble file (TOML)")
      .option(
        "--workers <addresses>",
        "running workers, HOST:PORT,HOST:PORT; their order is the experts' order; + joins workers of one expert",
      )
      .option(
        "--experts <names>",
        "models by the names that their workers have: NAME,NAME; with --nats, which finds the workers",
      ),
    "find workers over NATS",
  )
    .option(
      "--sabw <folder>",
      'trained aggregators, or "uniform" for plain averaging (default: the ensemble\'s)',
    )
    .option("--force", "use aggregators that were trained with other experts", false)
    .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
    .option(
      "--tokenizer <folder>",
      "tokenizer (default: the ensemble's, else one beside a model, else CLIP's own)",
    )
    .option(
      "--lora <expert=file:weight>",
      "merge a LoRA into an expert whose worker this command starts; several times for several",
      collectExpertLora,
    );
}

/** Adds the flags that say how they compute and how they are reached. */
export function addReachOptions(command: Command): Command {
  return command
    .addOption(deviceOption("what computes VAE and SABW, and the workers that this command starts"))
    .addOption(precisionOption("workers that this command starts compute"))
    .addOption(planeOption())
    .addOption(waitOption())
    .addOption(parkOption())
    .addOption(hedgeOption());
}

export interface DrawingOpening {
  readonly plan: EnsemblePlan;
  readonly flags: DrawingFlags;
  /** Of the first picture; where they came from, for errors. */
  readonly chosen: ChosenSettings<Settings>;
  readonly nats: NatsOptions | undefined;
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** An open ensemble, and what happens to the ways to it. */
export interface DrawingEnsemble {
  readonly ensemble: Ensemble;
  readonly fallbacks: PlaneFallbacks;
  readonly replicas: ReplicaReport;
}

/** @throws {TuttiError} of whatever failed first, in the words of the flags or the file that asked for it */
export async function openToDraw(
  { plan, flags, chosen, nats, note, warn, signal }: DrawingOpening,
): Promise<DrawingEnsemble> {
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  const wireDtype = parseWireDtypes(chosen.settings.wireDtype);
  const fallbacks = new PlaneFallbacks(warn);
  const replicas = new ReplicaReport(warn);
  const ensemble = await openEnsemble(plan, {
    signal,
    device,
    precision: flags.precision,
    takesAnySabw: flags.force,
    mayDiffer: true,
    transport: transportOptions({ plane: flags.plane, wireDtype }, fallbacks),
    ...(nats && { nats }),
    replicas: { parkMs: flags.park * 1000, hedge: flags.hedge, onEvent: replicas.add },
    onProgress: note,
  }).catch((error) => {
    throw error instanceof UsageError ? flagRefusal(error, chosen.origins) : error;
  });
  for (const warning of ensemble.warnings) warn(warning);
  return { ensemble, fallbacks, replicas };
}
