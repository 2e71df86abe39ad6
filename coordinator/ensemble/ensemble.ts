/**
 * An ensemble that is ready to sample: connected experts that fit each other, and what they share. Workers that
 * were started for it end with it.
 *
 * @module
 */

import { modelPaths } from "../../shared/checkpoint/model_paths.ts";
import { vaeForFamily } from "../../shared/checkpoint/vae_family.ts";
import { openVae } from "../../shared/checkpoint/vae_checkpoint.ts";
import { modelHash, weightPaths } from "../../shared/checkpoint/model_hash.ts";
import { openBackend, type PrecisionChoice } from "../../shared/device/backend.ts";
import { instructionSets } from "../../shared/device/instruction_sets.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { chooseText } from "../../shared/engine/choose_text.ts";
import { FormatError } from "../../shared/errors.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { ClipTokenizer } from "../../shared/tokenizer/clip_tokenizer.ts";
import { CLIP_TABLES } from "../../shared/tokenizer/clip_tables.ts";
import { findTokenizer, type FoundTokenizer } from "../../shared/tokenizer/find_tokenizer.ts";
import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import { checkCompatible } from "../cluster/handshake.ts";
import type { ReplicaPoolOptions } from "../cluster/replicas/replica_pool.ts";
import { checkWireBlocks, type TransportOptions } from "../cluster/tensor_transport.ts";
import { LateDiscovery } from "../discovery/late_discovery.ts";
import type { TrainedSabw } from "../sampling/methods/definition.ts";
import { SabwAggregator } from "../sampling/methods/sabw/sabw_aggregator.ts";
import { sabwHash } from "../sampling/methods/sabw/sabw_folder.ts";
import { readSabwMetadata, type SabwMetadata } from "../sampling/methods/sabw/sabw_metadata.ts";
import { trainedOrder } from "../sampling/methods/sabw/trained_order.ts";
import {
  readSchedulerConfig,
  type SchedulerConfig,
} from "../sampling/samplers/scheduler_config.ts";
import { Vae } from "../sampling/vae.ts";
import { type ConnectedExpert, openExperts } from "./open_experts.ts";
import type { EnsemblePlan } from "./ensemble_plan.ts";

export interface Ensemble extends AsyncDisposable {
  readonly name: string;
  /** In expert order: that of SABW's training where it is known, else that of the file or the flags. */
  readonly members: readonly ConnectedExpert[];
  readonly experts: readonly Expert[];
  /** Trained aggregators, where it has some. */
  readonly sabw?: TrainedSabw;
  readonly vae: Vae;
  /** SHA-256 of the VAE's file. */
  readonly vaeHash: string;
  /** One per text encoder of an expert. */
  readonly tokenizers: readonly [ClipTokenizer, ...ClipTokenizer[]];
  /** Of the file that the ensemble names, if it names one: it wins over what the experts say. */
  readonly schedulerConfig?: SchedulerConfig;
  /** What computes VAE and SABW here, as far as bits depend on it. */
  readonly computedBy: string;
  /** Why the experts' features cannot be mixed, where they differ in architecture. */
  readonly featuresDiffer?: string;
  /** What the user should know before the image is drawn. */
  readonly warnings: readonly string[];
}

export interface OpenEnsembleOptions {
  /** Of the VAE and SABW, and of workers that are started. @default "cpu" */
  readonly device?: Device;
  /** Of workers that are started; VAE and SABW compute in f32. */
  readonly precision?: PrecisionChoice;
  /** Whether experts compute in this process instead of in workers. @default false */
  readonly isLocal?: boolean;
  /** Whether experts may differ in architecture: then only their noises can be combined. @default false */
  readonly mayDiffer?: boolean;
  /** Whether SABW may be used with other experts than it was trained with. @default false */
  readonly takesAnySabw?: boolean;
  /** How feature maps travel to workers. */
  readonly transport?: TransportOptions;
  /** Where workers announce themselves: those of experts that are named by their model, and of others while a run waits. */
  readonly nats?: NatsOptions;
  /** What happens when a worker is lost. */
  readonly replicas?: Pick<ReplicaPoolOptions, "parkMs" | "hedge" | "onEvent">;
  readonly signal?: AbortSignal;
  /** Told what is happening, for a person who waits. */
  readonly onProgress?: (text: string) => void;
}

/**
 * Connects or starts every expert, checks that they fit each other, SABW, VAE and tokenizer, and opens those.
 *
 * @throws {TuttiError} of whatever failed first; everything opened before is closed again
 */
export async function openEnsemble(
  plan: EnsemblePlan,
  options: OpenEnsembleOptions = {},
): Promise<Ensemble> {
  await using resources = new AsyncDisposableStack();
  // Files first: what is wrong with them should not wait for workers to start.
  const found = await findTokenizer({
    models: plan.experts.flatMap(({ model }) => model === undefined ? [] : modelPaths(model)),
    ...(plan.tokenizer !== undefined && { named: plan.tokenizer }),
  });
  if (plan.tokenizer === undefined) {
    const { path } = found;
    options.onProgress?.(
      path === undefined ? `Using ${CLIP_TABLES}` : `Using the tokenizer in ${path}`,
    );
  }
  const tokenizer = await ClipTokenizer.load(found.path);
  const vaePart = await openVae(plan.vae, plan.vaeConfig);
  const schedulerConfig = plan.scheduler === undefined
    ? undefined
    : await readSchedulerConfig(plan.scheduler);
  const trained = plan.sabw.kind === "trained" ? await readSabwMetadata(plan.sabw.path) : undefined;
  const backend = await openBackend(options.device ?? "cpu");
  const { nats, signal, onProgress } = options;
  const discovery = nats && resources.use(
    new LateDiscovery({ ...nats, ...(signal && { signal }) }, {
      ...(onProgress && { onNotice: onProgress }),
    }),
  );
  const opened = await openExperts(plan, options, discovery);
  for (const member of opened) resources.use(member);
  const { members, sabwWarnings } = await inOrderOfTraining(plan, trained, opened, options);
  const candidates = members.map(({ where, expert }) => ({
    where,
    description: expert.description,
  }));
  const { warnings, featuresDiffer } = checkCompatible(candidates, {
    // SABW is there to mix features.
    mayDiffer: options.mayDiffer === true && plan.sabw.kind === "uniform",
  });

  const { description } = members[0]!.expert;
  for (const { expert } of members) {
    checkWireBlocks(options.transport?.wireDtypes ?? {}, expert.description.blocks);
  }
  const others = description.texts.length > 1 ? [await loadSecondTokenizer(found)] : [];
  const tokenizers = [tokenizer, ...others] as const;
  for (const [encoder, each] of tokenizers.entries()) {
    checkTokenizer(each, encoder === 0 ? found.path : found.path2 ?? found.path, members, encoder);
  }
  // The coordinator aggregates and decodes while its workers wait: all cores are free. The bits are those of one thread.
  const laneOptions = { ...backend, threads: navigator.hardwareConcurrency };
  const vae = resources.use(
    new Vae(vaeForFamily(vaePart, description.family, plan.vae), laneOptions),
  );
  if (vae.config.latentChannels !== description.latentChannels) {
    throw new FormatError(
      `VAE "${plan.vae}" must have ${description.latentChannels} latent channels as the experts: current value is ${vae.config.latentChannels}`,
    );
  }
  const sabw = await openSabw(plan, trained, members, laneOptions);
  if (sabw) resources.defer(() => sabw.aggregator.close());

  const ensemble = {
    name: plan.name,
    members,
    experts: members.map(({ expert }) => expert),
    ...(sabw && { sabw }),
    vae,
    vaeHash: await modelHash(weightPaths(vaePart.weights)),
    tokenizers,
    ...(schedulerConfig && { schedulerConfig }),
    computedBy: `${backend.device} ${await instructionSets()}`,
    ...(featuresDiffer && { featuresDiffer: featuresDiffer.message }),
    warnings: [...warnings, ...sabwWarnings],
  };
  const owned = resources.move();
  return { ...ensemble, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** @param trained absent where SABW does not say how it was trained */
async function openSabw(
  { sabw }: EnsemblePlan,
  trained: SabwMetadata | undefined,
  members: readonly ConnectedExpert[],
  options: ComputeOptions,
): Promise<TrainedSabw | undefined> {
  if (sabw.kind === "uniform") return undefined;
  const { description } = members[0]!.expert;
  const experts = { ...description, numExperts: members.length };
  const aggregator = await SabwAggregator.open(sabw.path, experts, options);
  const hash = await sabwHash(sabw.path, description.blocks);
  return { aggregator, hash, aggregatedBlocks: trained?.aggregatedBlocks ?? "all" };
}

/** SABW's inputs have the order of its training. */
async function inOrderOfTraining(
  { sabw }: EnsemblePlan,
  trained: SabwMetadata | undefined,
  opened: readonly ConnectedExpert[],
  { takesAnySabw = false }: OpenEnsembleOptions,
): Promise<
  { readonly members: readonly ConnectedExpert[]; readonly sabwWarnings: readonly string[] }
> {
  if (sabw.kind === "uniform" || !trained) return { members: opened, sabwWarnings: [] };
  const experts = opened.map(({ name, expert }) => ({
    ...expert.description,
    name,
    weightsHashes: () => expert.weightsHashes?.() ?? Promise.resolve(undefined),
  }));
  try {
    const { order, warnings } = await trainedOrder(sabw.path, trained, experts);
    return { members: order.map((i) => opened[i]!), sabwWarnings: warnings };
  } catch (error) {
    if (!takesAnySabw || !(error instanceof FormatError)) throw error;
    const warning = `SABW "${sabw.path}" was trained with other experts than these`;
    return { members: opened, sabwWarnings: [warning] };
  }
}

/** SDXL's: its own, or the first one padded as its second text encoder was trained. */
async function loadSecondTokenizer({ path, path2 }: FoundTokenizer): Promise<ClipTokenizer> {
  return path2 === undefined
    ? await ClipTokenizer.load(path, { padTokenId: 0 })
    : await ClipTokenizer.load(path2);
}

/** A tokenizer of another vocabulary would give ids that mean other words. */
function checkTokenizer(
  { vocabSize, eosTokenId }: ClipTokenizer,
  path: string | undefined,
  members: readonly ConnectedExpert[],
  encoder: number,
): void {
  for (const { where, expert } of members) {
    const text = chooseText(expert.description, encoder);
    const refuse = (field: string, wanted: string, current: number) => {
      const name = path === undefined ? CLIP_TABLES : `Tokenizer "${path}"`;
      const nextStep = path === undefined ? "; name the expert's own with --tokenizer" : "";
      throw new FormatError(
        `${name} does not belong to expert ${where}: ${field} must be ${wanted}: current value is ${current}${nextStep}`,
      );
    };
    if (vocabSize > text.vocabSize) refuse("vocabSize", `at most ${text.vocabSize}`, vocabSize);
    if (eosTokenId !== text.eosTokenId) refuse("eosTokenId", String(text.eosTokenId), eosTokenId);
  }
}
