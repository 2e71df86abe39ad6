/**
 * One expert in this process: its U-Net blocks, time embedding and text encoder as graphs on lanes.
 *
 * @module
 */

import { type Checkpoint, type ModelSource, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { OPEN_CLIP_PREFIX } from "../checkpoint/keymaps/open_clip.ts";
import type { LoraChoice } from "../checkpoint/lora/lora_choice.ts";
import { describeLora, mergedModelHash, mergeLoras } from "../checkpoint/lora/merge_loras.ts";
import { modelHash, weightPaths } from "../checkpoint/model_hash.ts";
import { weightsHash } from "../checkpoint/weights_hash.ts";
import { openBackend, type PrecisionChoice } from "../device/backend.ts";
import { FormatError, ShapeError, throwIfAborted, TuttiError, UsageError } from "../errors.ts";
import { alignedTensor } from "../lane/aligned_memory.ts";
import type { Device } from "../lane/protocol.ts";
import { BASE } from "../merging/block_of_key.ts";
import type { StoredMerge } from "../merging/merged_file.ts";
import type { BlockId } from "../models/blocks.ts";
import { FAMILIES } from "../models/families.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import { timeEmbedDim, unetBlockGraph } from "../models/unet/block_graph.ts";
import { blockSpec, type UNetBlock, unetBlockTable } from "../models/unet/block_table.ts";
import { timeEmbeddingGraph } from "../models/unet/time_embedding.ts";
import { Weights, type WeightTable } from "../models/weights.ts";
import { checkFinite, checkTensor } from "../tensor/check.ts";
import type { F32Tensor, Tensor } from "../tensor/tensor.ts";
import { blockBackward } from "./backward.ts";
import type {
  BackwardResult,
  BlockExpert,
  LoadProgress,
  StatelessBackward,
  StatelessForward,
} from "./block_expert.ts";
import { blockInputs } from "./block_inputs.ts";
import { BlockScheduler } from "./block_scheduler.ts";
import { chooseText } from "./choose_text.ts";
import type {
  AddedCond,
  ExpertDescription,
  ExpertSession,
  ForwardResult,
  SessionConfig,
  TextDescription,
  TextEncoding,
  TextOptions,
  WeightsHashes,
} from "./expert.ts";
import { numericsFingerprint } from "./fingerprint.ts";
import { GraphRunner } from "./graph_runner.ts";
import { checkMemory, computeBytes } from "./memory_estimate.ts";
import { LocalSession } from "./local_session.ts";
import { isTextGraph, type TextEncoder, textEncoder } from "./text_encoders.ts";
import { DEFAULT_TEXT_IDLE_SECONDS, TextResidency } from "./text_residency.ts";
import { pooledPromptDim, timeEmbeddingInputs } from "./time_inputs.ts";
import { COMPUTED } from "../onnx/graph.ts";
import { FileStamps } from "../weight_file/file_stamps.ts";

/** What conditions all blocks is merged as the first one. */
const FIRST_BLOCK = "IN00";

/** All calls without a session and a name: many short ones are not to crowd out the others. */
const UNNAMED_JOB = "";

export interface LocalExpertOptions {
  /** Diffusers folder, single `.safetensors` file, or a merge. */
  readonly model: ModelSource;
  readonly device: Device;
  /** `auto` takes f16 where the device computes it right. @default "f32" */
  readonly precision?: PrecisionChoice;
  /** Threads that compute at the same time; each holds its own copy of the weights it ran. */
  readonly lanes: number;
  /** Threads inside one operation. */
  readonly threads: number;
  /** Name to show; the file's or folder's without it. */
  readonly name?: string;
  /** Folder with the `config.json`s of a single file of unusual sizes. */
  readonly configFrom?: string;
  /** Where the time of every operation is written; see `LaneOptions`. */
  readonly profileFolder?: string;
  /** Merged into the weights while they are loaded. */
  readonly loras?: readonly LoraChoice[];
  /** How long text encoders that no prompt uses stay in memory. @default 30 */
  readonly textIdleSeconds?: number;
}

/**
 * Opens an expert: reads headers and configs, builds every graph, hashes the weights. Nothing of the
 * weights is loaded before a block first runs.
 *
 * @throws {FormatError} if the checkpoint is damaged or does not fit its config
 */
export async function openLocalExpert(options: LocalExpertOptions): Promise<LocalExpert> {
  const { lanes, threads, device, configFrom } = options;
  for (const [flag, value] of [["lanes", lanes], ["threads", threads]] as const) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new UsageError(`--${flag} must be a whole number >= 1: current value is ${value}`);
    }
  }
  const backend = await openBackend(device, options.precision);
  const opened = await openCheckpoint(
    options.model,
    configFrom === undefined ? {} : { configFrom },
  );
  const { checkpoint, applied } = await mergeLoras(opened, options.loras ?? []);
  const loras = await Promise.all(applied.map(({ file, weight }) => describeLora(file, weight)));
  const { path: model, unet, text, text2, merged } = checkpoint;
  const blocks = unetBlockTable(unet.config);
  const unetWeights = Weights.of(unet.weights);
  const unetGraphs = [
    timeEmbeddingGraph(unet.config, unetWeights),
    ...blocks.map((block) => unetBlockGraph(block, unet.config, unetWeights)),
  ];
  unetWeights.check(`U-Net of "${model}"`);
  checkTextParts(checkpoint);
  const parts = [text, text2].filter((part) => part !== undefined);
  const encoders = parts.map((part, index) =>
    textEncoder(part, index, { model, isLast: index === parts.length - 1 })
  );
  const texts = encoders.map(({ description }) => description);
  checkTextFits(model, unet.config, texts);

  const tables = [unet.weights, ...parts.map((part) => part.weights)];
  if (backend.device === "cpu") {
    checkMemory(model, computeBytes(tables), lanes, Deno.systemMemoryInfo().available);
  }
  const graphs = [...unetGraphs, ...encoders.flatMap((encoder) => encoder.graphs)];
  const paths = [...weightPaths(...tables), ...applied.map(({ file }) => file.path)];
  const stamps = FileStamps.of(paths.filter((path) => path !== COMPUTED))
    .and(checkpoint.mergedStamps);
  const baseHash = merged?.hash ?? await modelHash(weightPaths(...tables));
  const baseHashes = [...(loras.length > 0 ? [baseHash] : []), ...(opened.mergedFrom ?? [])];
  const description: ExpertDescription = {
    name: options.name ??
      [checkpoint.name, ...loras.map(({ name, weight }) => `${name}:${weight}`)].join(" + "),
    modelHash: mergedModelHash(baseHash, applied),
    loras,
    ...(baseHashes.length > 0 && { baseHashes }),
    family: checkpoint.family,
    predictionType: checkpoint.predictionType,
    ...(checkpoint.ownSchedule && { ownSchedule: checkpoint.ownSchedule }),
    latentChannels: unet.config.inChannels,
    sampleSize: unet.config.sampleSize,
    timeEmbedDim: timeEmbedDim(unet.config),
    crossAttentionDim: unet.config.crossAttentionDim,
    blocks: blocks.map(blockSpec),
    texts,
    pooledPromptDim: pooledPromptDim(unet.config),
    fingerprint: await numericsFingerprint(graphs, { ...backend, threads }),
  };
  const { profileFolder } = options;
  const runner = new GraphRunner(graphs, {
    ...backend,
    threads,
    lanes,
    stamps,
    ...(merged && { merge: merged }),
    ...(profileFolder !== undefined && { profileFolder }),
  });
  const { textIdleSeconds = DEFAULT_TEXT_IDLE_SECONDS } = options;
  const residency = new TextResidency(runner, isTextGraph, textIdleSeconds);
  const hashWeights = async () => {
    const baseWeightsHash = merged ? merged.hash : await weightsHash(opened);
    return { weightsHash: mergedModelHash(baseWeightsHash, applied), baseWeightsHash };
  };
  return new LocalExpert(description, unet, { encoders, runner, residency, hashWeights });
}

/** Which block of a merge the weights of a graph belong to. */
function mergedBlockOf(graph: string): string {
  if (isTextGraph(graph)) return BASE;
  return graph === "time_embedding" ? FIRST_BLOCK : graph;
}

/** A family with two encoders needs both, or none: a file of the U-Net alone. */
function checkTextParts({ family, text, text2, path }: Checkpoint): void {
  if (!FAMILIES[family].configs.text2 || (text === undefined) === (text2 === undefined)) return;
  const [missing, prefix] = text
    ? ["second", OPEN_CLIP_PREFIX]
    : ["first", FAMILIES[family].textPrefix];
  throw new FormatError(
    `Model "${path}" must have both text encoders of ${
      FAMILIES[family].name
    }: the ${missing} one is ` +
      `missing (keys below "${prefix}"). Get the whole model`,
  );
}

/** The states of all encoders side by side are as wide as the U-Net's cross attention. */
function checkTextFits(model: string, config: UNetConfig, texts: readonly TextDescription[]): void {
  if (texts.length === 0) return;
  const width = texts.reduce((sum, { hiddenSize }) => sum + hiddenSize, 0);
  if (width !== config.crossAttentionDim) {
    throw new ShapeError(
      `Text encoders of "${model}" must be as wide as the U-Net's cross attention ` +
        `${config.crossAttentionDim}: current width is ${width}`,
    );
  }
  const wanted = pooledPromptDim(config);
  const pooled = texts.at(-1)!.pooledDim;
  if (wanted > 0 && pooled !== wanted) {
    throw new ShapeError(
      `Pooled text states of "${model}" must be ${wanted} wide: current width is ${pooled}`,
    );
  }
}

interface ExpertParts {
  readonly encoders: readonly TextEncoder[];
  readonly runner: GraphRunner;
  readonly residency: TextResidency;
  readonly hashWeights: () => Promise<WeightsHashes>;
}

export class LocalExpert implements BlockExpert {
  #description: ExpertDescription;
  readonly #unet: { readonly config: UNetConfig; readonly weights: WeightTable };
  readonly #blocks: ReadonlyMap<BlockId, UNetBlock>;
  readonly #encoders: readonly TextEncoder[];
  readonly #runner: GraphRunner;
  readonly #residency: TextResidency;
  readonly #scheduler: BlockScheduler;
  readonly #hashWeights: () => Promise<WeightsHashes>;
  #weightsHashes: Promise<WeightsHashes> | undefined;

  constructor(
    description: ExpertDescription,
    unet: { readonly config: UNetConfig; readonly weights: WeightTable },
    { encoders, runner, residency, hashWeights }: ExpertParts,
  ) {
    this.#description = description;
    this.#unet = unet;
    this.#blocks = new Map(unetBlockTable(unet.config).map((block) => [block.id, block]));
    this.#encoders = encoders;
    this.#runner = runner;
    this.#residency = residency;
    this.#hashWeights = hashWeights;
    this.#scheduler = new BlockScheduler({
      lanes: runner.loads.length,
      compute: async ({ block, inputs, output, onLoaded }) => {
        const { computeMs, loadMs } = await runner.run(block, inputs, { output });
        onLoaded?.(loadMs);
        return computeMs;
      },
    });
  }

  get description(): ExpertDescription {
    return this.#description;
  }

  /** Calls that wait or run in each lane. */
  get laneLoads(): readonly number[] {
    return this.#runner.loads;
  }

  /** Names of the graphs whose weights are in memory. */
  get loadedGraphs(): ReadonlySet<string> {
    return this.#runner.loadedGraphs;
  }

  async weightsHashes(): Promise<WeightsHashes> {
    this.#weightsHashes ??= this.#hashWeights();
    try {
      return await this.#weightsHashes;
    } catch (error) {
      this.#weightsHashes = undefined; // A file that could not be read may be read the next time.
      throw error;
    }
  }

  get loading(): LoadProgress | undefined {
    const { loadingGraphs, loadedGraphs } = this.#runner;
    if (![...loadingGraphs].some((name) => this.#blocks.has(name))) return undefined;
    const there = [...loadedGraphs].filter((name) => !loadingGraphs.has(name));
    return {
      blocks: there.filter((name) => this.#blocks.has(name)).length,
      allBlocks: this.#blocks.size,
      bytes: there.reduce((sum, name) => sum + this.#runner.weightBytes(name), 0),
    };
  }

  /** Loads what the first call of the first block needs: what keeps the model from computing shows before that. */
  async loadFirst(): Promise<void> {
    await this.#runner.load("time_embedding");
    await this.#runner.load(FIRST_BLOCK);
  }

  loadAhead(): void {
    const { loadedGraphs } = this.#runner;
    const missing = [...this.#blocks.keys()].filter((block) => !loadedGraphs.has(block));
    if (missing.length === 0) return;
    this.#residency.release();
    this.#runner.loadAhead(missing);
  }

  async encodeText(
    inputIds: Tensor<"int64">,
    { encoder = 0, clipSkip = 1 }: TextOptions = {},
  ): Promise<TextEncoding> {
    chooseText(this.description, encoder);
    return await this.#residency.use(() =>
      this.#encoders[encoder]!.encode(this.#runner, inputIds, clipSkip)
    );
  }

  async embedTimesteps(
    timesteps: readonly number[],
    _signal?: AbortSignal,
    addedCond?: AddedCond,
  ): Promise<F32Tensor> {
    const odd = timesteps.find((t) => !Number.isFinite(t));
    if (timesteps.length === 0 || odd !== undefined) {
      throw new ShapeError(
        `timesteps must be one or more finite numbers: current value is ${odd ?? "none"}`,
      );
    }
    const inputs = timeEmbeddingInputs(this.#unet.config, timesteps, addedCond);
    const shape = [inputs.time_proj.shape[0]!, this.description.timeEmbedDim];
    const { outputs } = await this.#runner.run("time_embedding", inputs, {
      temb: { dtype: "float32", shape },
    });
    return outputs.temb as F32Tensor;
  }

  async forwardBlock(request: StatelessForward, signal?: AbortSignal): Promise<ForwardResult> {
    const block = this.#block(request.block);
    const { inputs, outputShape: shape } = blockInputs(block, this.description, request);
    if (request.output) checkTensor("output", request.output, "float32", shape);
    if (!this.#runner.loadedGraphs.has(block.id)) this.#residency.release();
    const hiddenStates = request.output ?? alignedTensor("float32", shape);
    let loadMs = 0;
    const onLoaded = (ms: number) => loadMs += ms;
    const run = { block: block.id, inputs, output: hiddenStates, onLoaded };
    const { computeMs, queueMs } = await this.#scheduler.run(
      request.job ?? UNNAMED_JOB,
      run,
      signal,
    );
    checkFinite(`Output of ${this.description.name} ${block.id}`, hiddenStates, {
      model: this.description.name,
      block: block.id,
    });
    return { hiddenStates, computeMs, queueMs: Math.max(0, queueMs - loadMs), loadMs };
  }

  async backwardBlock(request: StatelessBackward, signal?: AbortSignal): Promise<BackwardResult> {
    throwIfAborted(signal);
    const source = { ...this.#unet, description: this.description };
    return await blockBackward(this.#runner, source, this.#block(request.block), request);
  }

  #block(id: BlockId): UNetBlock {
    const block = this.#blocks.get(id);
    if (block) return block;
    const ids = [...this.#blocks.keys()];
    throw new TuttiError(
      "NOT_FOUND",
      `block must be one of ${ids[0]}..${ids.at(-1)}: current value is "${id}"`,
    );
  }

  /**
   * Makes an expert that is a merge another merge of the same models. Only what belongs to the blocks that differ is
   * computed anew, when it next runs. No session may be open meanwhile.
   *
   * @param blocks whose weights differ: of `mergeBlocks()`, or `BASE`
   */
  async remerge(merge: StoredMerge, blocks: readonly string[]): Promise<void> {
    const { hashOfMerge } = await import("../merging/merge_hash.ts");
    const modelHash = await hashOfMerge(merge);
    this.#runner.remerge({ ...merge, hash: modelHash });
    await this.#runner.releaseGraphs((graph) => blocks.includes(mergedBlockOf(graph)));
    this.#description = { ...this.#description, modelHash };
    this.#weightsHashes = Promise.resolve({ weightsHash: modelHash, baseWeightsHash: modelHash });
  }

  /** Ends all graphs: their memory is free and their profiles are written. */
  async releaseGraphs(): Promise<void> {
    await this.#runner.releaseGraphs();
  }

  async openSession(config: SessionConfig): Promise<ExpertSession> {
    return await LocalSession.open(this, config);
  }

  close(): Promise<void> {
    this.#residency[Symbol.dispose]();
    return this.#runner[Symbol.asyncDispose]();
  }
}
