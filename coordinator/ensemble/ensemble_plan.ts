/**
 * Which ensemble a command means: an ensemble file, a list of running workers, or with neither the
 * experts that come with Tutti.
 *
 * @module
 */

import { resolve } from "node:path";
import { UsageError } from "../../shared/errors.ts";
import type { NatsFlags } from "../../shared/nats/nats_flags.ts";
import { BUNDLED_ENSEMBLE } from "../../shared/project_files.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import {
  type EnsembleExpert,
  type EnsembleFile,
  loadEnsembleFile,
} from "../cluster/ensemble_file.ts";
import { howToName, isModelFile } from "../cluster/model_for_file.ts";
import { type ExpertLora, withLoras } from "./lora_flags.ts";

/** Everything that must be opened to sample. */
export type EnsemblePlan = Omit<EnsembleFile, "path">;

export interface EnsembleFlags extends NatsFlags {
  readonly ensemble?: string;
  /** Names of models that workers serve, several separated by commas. */
  readonly experts?: string;
  /** HOST:PORT, the experts separated by commas, the replicas of one expert joined by "+". */
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
  const given = (["ensemble", "workers", "experts"] as const).filter((flag) => flags[flag]);
  if (given.length > 1) {
    throw new UsageError(
      `--${given[0]} and --${given[1]} name the experts twice: give one of them`,
    );
  }
  const { vaeConfig, ...plan } = await planOfFlags(flags);
  return {
    ...plan,
    // It describes the file's VAE, not the flag's.
    ...(vaeConfig !== undefined && flags.vae === undefined && { vaeConfig }),
    ...(flags.sabw !== undefined && { sabw: sabwChoice(flags.sabw) }),
    ...(flags.vae !== undefined && { vae: resolve(flags.vae) }),
    ...(flags.tokenizer !== undefined && { tokenizer: resolve(flags.tokenizer) }),
    experts: withLoras(plan.experts, flags.lora ?? []),
  };
}

async function planOfFlags(flags: EnsembleFlags): Promise<EnsemblePlan> {
  const { ensemble, workers, experts } = flags;
  for (const text of [workers, experts]) {
    const model = text?.split(",").find(isModelFile);
    if (model !== undefined) throw new UsageError(howToName(model.trim()));
  }
  if (workers !== undefined) return planOfWorkers(workers, needVae("--workers", flags));
  if (experts !== undefined) return planOfModels(experts, needVae("--experts", flags));
  return await loadEnsembleFile(ensemble ?? BUNDLED_ENSEMBLE);
}

function needVae(flag: string, { vae }: EnsembleFlags): string {
  if (vae !== undefined) return vae;
  throw new UsageError(`${flag} needs --vae: workers serve U-Nets and text encoders only`);
}

function planOfWorkers(workers: string, vae: string): EnsemblePlan {
  const experts = workers.split(",").map((text): EnsembleExpert => {
    const addresses = text.split("+").map((replica) => parseAddress(replica.trim()));
    const names = addresses.map(formatAddress);
    const twin = names.find((name, i) => names.indexOf(name) < i);
    if (twin !== undefined) {
      throw new UsageError(
        `--workers must name each replica of an expert once: ${twin} comes twice`,
      );
    }
    return { name: names.join("+"), addresses };
  });
  return { name: "workers", experts, sabw: { kind: "uniform" }, vae };
}

function planOfModels(models: string, vae: string): EnsemblePlan {
  const names = models.split(",").map((text) => text.trim());
  const twin = names.find((name, i) => names.indexOf(name) < i);
  if (twin !== undefined || names.includes("")) {
    const problem = twin ? ` ("${twin}" comes twice)` : "";
    throw new UsageError(
      `--experts must be names of models, each once: current value is "${models}"${problem}`,
    );
  }
  const experts = names.map((name): EnsembleExpert => ({ name, choice: { name } }));
  return { name: "experts", experts, sabw: { kind: "uniform" }, vae };
}

function sabwChoice(sabw: string): EnsemblePlan["sabw"] {
  return sabw === "uniform" ? { kind: "uniform" } : { kind: "trained", path: resolve(sabw) };
}
