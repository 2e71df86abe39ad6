/**
 * Which ensemble a command means: an ensemble file, a list of running workers, or with neither the
 * experts that come with Tutti.
 *
 * @module
 */

import { resolve } from "node:path";
import { UsageError } from "../../shared/errors.ts";
import { BUNDLED_ENSEMBLE } from "../../shared/project_files.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import {
  type EnsembleExpert,
  type EnsembleFile,
  loadEnsembleFile,
} from "../cluster/ensemble_file.ts";
import { type ExpertLora, withLoras } from "./lora_flags.ts";

/** Everything that must be opened to sample. */
export type EnsemblePlan = Omit<EnsembleFile, "path">;

export interface EnsembleFlags {
  readonly ensemble?: string;
  /** HOST:PORT, several separated by commas. */
  readonly workers?: string;
  /** A folder, or `uniform`. */
  readonly sabw?: string;
  readonly vae?: string;
  readonly tokenizer?: string;
  readonly lora?: readonly ExpertLora[];
}

/**
 * Flags win over the file.
 *
 * @throws {UsageError} if flags contradict each other or one is missing
 * @throws {FormatError} if the ensemble file is wrong
 */
export async function ensemblePlan(flags: EnsembleFlags): Promise<EnsemblePlan> {
  if (flags.ensemble !== undefined && flags.workers !== undefined) {
    throw new UsageError("--ensemble and --workers name the experts twice: give one of them");
  }
  const plan = flags.workers === undefined
    ? await loadEnsembleFile(flags.ensemble ?? BUNDLED_ENSEMBLE)
    : planOfWorkers(flags.workers, flags);
  return {
    ...plan,
    ...(flags.sabw !== undefined && { sabw: sabwChoice(flags.sabw) }),
    ...(flags.vae !== undefined && { vae: resolve(flags.vae) }),
    ...(flags.tokenizer !== undefined && { tokenizer: resolve(flags.tokenizer) }),
    experts: withLoras(plan.experts, flags.lora ?? []),
  };
}

function planOfWorkers(workers: string, { vae }: EnsembleFlags): EnsemblePlan {
  if (vae === undefined) {
    throw new UsageError(
      "--workers needs --vae: workers serve U-Nets and text encoders only",
    );
  }
  const experts = workers.split(",").map((text): EnsembleExpert => {
    const address = parseAddress(text.trim());
    return { name: formatAddress(address), address };
  });
  return { name: "workers", experts, sabw: { kind: "uniform" }, vae };
}

function sabwChoice(sabw: string): EnsemblePlan["sabw"] {
  return sabw === "uniform" ? { kind: "uniform" } : { kind: "trained", path: resolve(sabw) };
}
