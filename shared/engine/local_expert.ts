/**
 * One expert in this process: its U-Net blocks, time embedding and text encoder as graphs on lanes.
 *
 * @module
 */

import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { modelHash, weightPaths } from "../checkpoint/model_hash.ts";
import { ShapeError, TuttiError, UsageError } from "../errors.ts";
import type { Device } from "../lane/protocol.ts";
import type { BlockId } from "../models/blocks.ts";
import { clipTextGraph } from "../models/clip_text.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import { timeEmbedDim, unetBlockGraph } from "../models/unet/block_graph.ts";
import { blockSpec, type UNetBlock, unetBlockTable } from "../models/unet/block_table.ts";
import { timeEmbeddingGraph, timestepEmbedding } from "../models/unet/time_embedding.ts";
import { Weights } from "../models/weights.ts";
import { checkFinite, checkTensor } from "../tensor/check.ts";
import { f32, type F32Tensor, type Tensor } from "../tensor/tensor.ts";
import { blockInputs } from "./block_inputs.ts";
import type {
  Expert,
  ExpertDescription,
  ExpertSession,
  ForwardResult,
  SessionConfig,
  StatelessForward,
  TextEncoding,
} from "./expert.ts";
import { numericsFingerprint } from "./fingerprint.ts";
import { GraphRunner } from "./graph_runner.ts";
import { LocalSession } from "./local_session.ts";

export interface LocalExpertOptions {
  /** Diffusers folder or single `.safetensors` file. */
  readonly model: string;
  readonly device: Device;
  /** Threads that compute at the same time; each holds its own copy of the weights it ran. */
  readonly lanes: number;
  /** Threads inside one operation. */
  readonly threads: number;
  /** Name to show; the file's or folder's without it. */
  readonly name?: string;
  /** Folder with the `config.json`s of a single file of unusual sizes. */
  readonly configFrom?: string;
}

/**
 * Opens an expert: reads headers and configs, builds every graph, hashes the weights. Nothing of the
 * weights is loaded before a block first runs.
 *
 * @throws {FormatError} if the checkpoint is damaged or does not fit its config
 */
export async function openLocalExpert(options: LocalExpertOptions): Promise<LocalExpert> {
  const { model, lanes, threads, device, configFrom } = options;
  for (const [flag, value] of [["lanes", lanes], ["threads", threads]] as const) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new UsageError(`--${flag} must be a whole number >= 1: current value is ${value}`);
    }
  }
  const checkpoint = await openCheckpoint(model, configFrom === undefined ? {} : { configFrom });
  const { unet, text } = checkpoint;
  if (text.config.hiddenSize !== unet.config.crossAttentionDim) {
    throw new ShapeError(
      `Text encoder of "${model}" must be as wide as the U-Net's cross attention ` +
        `${unet.config.crossAttentionDim}: current width is ${text.config.hiddenSize}`,
    );
  }
  const blocks = unetBlockTable(unet.config);
  const unetWeights = Weights.of(unet.weights);
  const unetGraphs = [
    timeEmbeddingGraph(unet.config, unetWeights),
    ...blocks.map((block) => unetBlockGraph(block, unet.config, unetWeights)),
  ];
  unetWeights.check(`U-Net of "${model}"`);
  const textWeights = Weights.of(text.weights);
  const textGraph = clipTextGraph(text.config, textWeights);
  textWeights.check(`Text encoder of "${model}"`);

  const graphs = [...unetGraphs, textGraph];
  const description: ExpertDescription = {
    name: options.name ?? checkpoint.name,
    modelHash: await modelHash(weightPaths(unet.weights, text.weights)),
    family: checkpoint.family,
    predictionType: checkpoint.predictionType,
    latentChannels: unet.config.inChannels,
    sampleSize: unet.config.sampleSize,
    timeEmbedDim: timeEmbedDim(unet.config),
    crossAttentionDim: unet.config.crossAttentionDim,
    blocks: blocks.map(blockSpec),
    text: { ...text.config },
    fingerprint: await numericsFingerprint(graphs, { device, threads }),
  };
  return new LocalExpert(
    description,
    unet.config,
    new GraphRunner(graphs, { device, threads, lanes }),
  );
}

export class LocalExpert implements Expert {
  readonly description: ExpertDescription;
  readonly #config: UNetConfig;
  readonly #blocks: ReadonlyMap<BlockId, UNetBlock>;
  readonly #runner: GraphRunner;

  constructor(description: ExpertDescription, config: UNetConfig, runner: GraphRunner) {
    this.description = description;
    this.#config = config;
    this.#blocks = new Map(unetBlockTable(config).map((block) => [block.id, block]));
    this.#runner = runner;
  }

  /** Calls that wait or run in each lane. */
  get laneLoads(): readonly number[] {
    return this.#runner.loads;
  }

  async encodeText(inputIds: Tensor<"int64">): Promise<TextEncoding> {
    const { maxLength, hiddenSize, vocabSize, eosTokenId } = this.description.text;
    const batch = inputIds.shape[0] ?? 0;
    checkTensor("input_ids", inputIds, "int64", [batch, maxLength]);
    const bad = inputIds.data.find((id) => id < 0n || id >= BigInt(vocabSize));
    if (bad !== undefined) {
      throw new ShapeError(`input_ids must lie in 0..${vocabSize - 1}: current value is ${bad}`);
    }
    const type = { dtype: "float32", shape: [batch, maxLength, hiddenSize] } as const;
    const { outputs } = await this.#runner.run("text_encoder", { input_ids: inputIds }, {
      last_hidden_state: type,
      penultimate_hidden_state: type,
    });
    const lastHiddenState = outputs.last_hidden_state as F32Tensor;
    return {
      lastHiddenState,
      penultimateHiddenState: outputs.penultimate_hidden_state as F32Tensor,
      pooled: poolAtFirstEos(inputIds, lastHiddenState, eosTokenId),
    };
  }

  async embedTimesteps(timesteps: readonly number[]): Promise<F32Tensor> {
    const odd = timesteps.find((t) => !Number.isFinite(t));
    if (timesteps.length === 0 || odd !== undefined) {
      throw new ShapeError(
        `timesteps must be one or more finite numbers: current value is ${odd ?? "none"}`,
      );
    }
    const width = this.#config.blockOutChannels[0]!;
    const time_proj = timestepEmbedding(timesteps, width, this.#config);
    const shape = [timesteps.length, this.description.timeEmbedDim];
    const { outputs } = await this.#runner.run("time_embedding", { time_proj }, {
      temb: { dtype: "float32", shape },
    });
    return outputs.temb as F32Tensor;
  }

  async forwardBlock(request: StatelessForward): Promise<ForwardResult> {
    const block = this.#blocks.get(request.block);
    if (!block) {
      const ids = [...this.#blocks.keys()];
      throw new TuttiError(
        "NOT_FOUND",
        `block must be one of ${ids[0]}..${ids.at(-1)}: current value is "${request.block}"`,
      );
    }
    const { inputs, outputShape: shape } = blockInputs(block, this.description, request);
    const result = await this.#runner.run(block.id, inputs, {
      output: { dtype: "float32", shape },
    });
    const hiddenStates = result.outputs.output as F32Tensor;
    checkFinite(`Output of ${this.description.name} ${block.id}`, hiddenStates, {
      model: this.description.name,
      block: block.id,
    });
    return { hiddenStates, computeMs: result.computeMs, queueMs: result.queueMs };
  }

  async openSession(config: SessionConfig): Promise<ExpertSession> {
    return await LocalSession.open(this, config);
  }

  close(): Promise<void> {
    this.#runner[Symbol.dispose]();
    return Promise.resolve();
  }
}

/** The hidden state of each row's first end token; f32 `[B, D]`. */
function poolAtFirstEos(
  inputIds: Tensor<"int64">,
  hidden: F32Tensor,
  eosTokenId: number,
): F32Tensor {
  const [batch = 0, length = 0, width = 0] = hidden.shape;
  const pooled = f32([batch, width]);
  for (let row = 0; row < batch; row++) {
    const position = inputIds.data.subarray(row * length, (row + 1) * length).indexOf(
      BigInt(eosTokenId),
    );
    if (position < 0) {
      throw new ShapeError(
        `input_ids must hold the end token ${eosTokenId} in every row: row ${row} does not`,
      );
    }
    const start = (row * length + position) * width;
    pooled.data.set(hidden.data.subarray(start, start + width), row * width);
  }
  return pooled;
}
