/**
 * An expert that is small, exact and fast: the real block table, checks and sessions around blocks that
 * are affine maps of their inputs, with their exact derivatives. For tests of what carries an expert, not of what an expert
 * computes.
 *
 * @module
 */

import type {
  BackwardResult,
  BlockExpert,
  StatelessBackward,
  StatelessForward,
} from "../../shared/engine/block_expert.ts";
import { blockInputs } from "../../shared/engine/block_inputs.ts";
import { chooseText } from "../../shared/engine/choose_text.ts";
import type {
  ExpertDescription,
  ExpertSession,
  ForwardResult,
  SessionConfig,
  TextEncoding,
  TextOptions,
} from "../../shared/engine/expert.ts";
import { LocalSession } from "../../shared/engine/local_session.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { ConfigFields } from "../../shared/models/config/fields.ts";
import { parseUNetConfig } from "../../shared/models/config/unet_config.ts";
import { blockSpec, type UNetBlock, unetBlockTable } from "../../shared/models/unet/block_table.ts";
import { checkFinite, checkTensor } from "../../shared/tensor/check.ts";
import { f32, type F32Tensor, type Tensor } from "../../shared/tensor/tensor.ts";
import { channelMeans, gradientOfMeans, rowMean } from "./affine_maps.ts";

/** Channels of a small U-Net of SD1.5's topology. */
const CONFIG = parseUNetConfig(
  new ConfigFields({
    _class_name: "UNet2DConditionModel",
    sample_size: 8,
    in_channels: 4,
    out_channels: 4,
    block_out_channels: [4, 8, 8, 8],
    layers_per_block: 2,
    cross_attention_dim: 6,
    attention_head_dim: 4,
    norm_num_groups: 4,
    down_block_types: [
      "CrossAttnDownBlock2D",
      "CrossAttnDownBlock2D",
      "CrossAttnDownBlock2D",
      "DownBlock2D",
    ],
    up_block_types: [
      "UpBlock2D",
      "CrossAttnUpBlock2D",
      "CrossAttnUpBlock2D",
      "CrossAttnUpBlock2D",
    ],
  }, "affine/config.json"),
);
export const AFFINE_BLOCKS = unetBlockTable(CONFIG);

/** What a skip counts beside the input. */
const SKIP_WEIGHT = 0.25;

export interface AffineExpertOptions {
  readonly description?: Partial<ExpertDescription>;
  /** Weight of every block that this does not name is 1; NaN or Infinity make a broken checkpoint. */
  readonly gains?: Readonly<Record<string, number>>;
  /** Awaited before a block computes: lets a test hold a worker in the middle of a call. */
  readonly beforeBlock?: (block: string, signal?: AbortSignal) => Promise<void>;
}

export class AffineExpert implements BlockExpert {
  readonly description: ExpertDescription;
  /** Sessions that were opened and not closed. */
  openSessions = 0;
  /** Blocks differentiated so far, in order. */
  readonly differentiated: string[] = [];
  readonly #options: AffineExpertOptions;

  constructor(options: AffineExpertOptions = {}) {
    this.#options = options;
    this.description = {
      name: "affine",
      modelHash: "a".repeat(64),
      loras: [],
      family: "sd15",
      predictionType: "epsilon",
      latentChannels: CONFIG.inChannels,
      sampleSize: CONFIG.sampleSize,
      timeEmbedDim: 16,
      crossAttentionDim: CONFIG.crossAttentionDim,
      blocks: AFFINE_BLOCKS.map(blockSpec),
      texts: [{
        vocabSize: 100,
        maxLength: 7,
        hiddenSize: CONFIG.crossAttentionDim,
        bosTokenId: 98,
        eosTokenId: 99,
        padTokenId: 99,
        pooledDim: CONFIG.crossAttentionDim,
      }],
      pooledPromptDim: 0,
      fingerprint: {
        runtime: "affine 1",
        device: "cpu",
        precision: "f32",
        isa: "javascript",
        threads: 1,
        graphHash: "b".repeat(64),
      },
      ...options.description,
    };
  }

  encodeText(
    inputIds: Tensor<"int64">,
    { encoder = 0, clipSkip = 1 }: TextOptions = {},
  ): Promise<TextEncoding> {
    const { crossAttentionDim: dim } = this.description;
    const text = chooseText(this.description, encoder);
    const rows = inputIds.shape[0] ?? 0;
    checkTensor("input_ids", inputIds, "int64", [rows, text.maxLength]);
    const state = (scale: number) =>
      f32(
        [rows, text.maxLength, dim],
        Array.from(
          { length: rows * text.maxLength * dim },
          (_, i) => Number(inputIds.data[Math.floor(i / dim)]) * scale + i % dim,
        ),
      );
    const lastHiddenState = state(0.1 * clipSkip + encoder);
    const pooled = f32([rows, dim], [...lastHiddenState.data.subarray(0, rows * dim)]);
    return Promise.resolve({ lastHiddenState, penultimateHiddenState: state(0.3), pooled });
  }

  embedTimesteps(timesteps: readonly number[]): Promise<F32Tensor> {
    const dim = this.description.timeEmbedDim;
    const values = timesteps.flatMap((t) =>
      Array.from({ length: dim }, (_, i) => Math.sin(t / (i + 1)))
    );
    return Promise.resolve(f32([timesteps.length, dim], values));
  }

  async forwardBlock(request: StatelessForward, signal?: AbortSignal): Promise<ForwardResult> {
    const block = affineBlock(request.block);
    const { outputShape } = blockInputs(block, this.description, request);
    await this.#options.beforeBlock?.(block.id, signal);
    throwIfAborted(signal);

    const index = AFFINE_BLOCKS.indexOf(block);
    const gain = this.#options.gains?.[block.id] ?? 1;
    const hiddenStates = request.output ?? f32(outputShape);
    const [, channels = 0, height = 0, width = 0] = outputShape;
    const perRow = channels * height * width;
    const features = channelMeans(request.hiddenStates);
    const skips = request.residual ? channelMeans(request.residual) : undefined;
    const [, , inHeight = 0, inWidth = 0] = request.hiddenStates.shape;
    for (let i = 0; i < hiddenStates.data.length; i++) {
      const row = Math.floor(i / perRow);
      const channel = Math.floor(i / (height * width)) % channels;
      const y = Math.floor((Math.floor(i / width) % height) * inHeight / height);
      const x = Math.floor((i % width) * inWidth / width);
      const pixel = (row * inHeight + y) * inWidth + x;
      hiddenStates.data[i] = gain * features[pixel]! + SKIP_WEIGHT * (skips?.[pixel] ?? 0) +
        0.1 * rowMean(request.temb, row) + 0.01 * rowMean(request.encoderHiddenStates, row) +
        channel / 7 + index / 11;
    }
    checkFinite(`Output of ${this.description.name} ${block.id}`, hiddenStates, {
      block: block.id,
    });
    return { hiddenStates, computeMs: 1.5, queueMs: 0.5, loadMs: 0 };
  }

  // Async, so that a refusal is a rejection.
  // deno-lint-ignore require-await
  async backwardBlock(request: StatelessBackward): Promise<BackwardResult> {
    const block = affineBlock(request.block);
    const { outputShape } = blockInputs(block, this.description, request);
    const { gradOutput, hiddenStates, residual } = request;
    checkTensor("grad_output", gradOutput, "float32", outputShape);
    const gain = this.#options.gains?.[block.id] ?? 1;
    const gradHiddenStates = gradientOfMeans(gradOutput, hiddenStates, gain);
    checkFinite(`grad_hidden_states of ${this.description.name} ${block.id}`, gradHiddenStates);
    this.differentiated.push(block.id);
    return {
      gradHiddenStates,
      ...(block.skipFrom && residual && {
        gradResidual: gradientOfMeans(gradOutput, residual, SKIP_WEIGHT),
      }),
      computeMs: 2.5,
      queueMs: 0.5,
    };
  }

  async openSession(config: SessionConfig): Promise<ExpertSession> {
    const session = await LocalSession.open(this, config);
    this.openSessions++;
    let open = true;
    return {
      inputBuffer: (range) => session.inputBuffer(range),
      forward: (range, signal) => session.forward(range, signal),
      restore: (range) => session.restore(range),
      gradientBuffer: (range) => session.gradientBuffer(range),
      backward: (range, signal) => session.backward(range, signal),
      close: () => {
        if (open) this.openSessions--;
        open = false;
        return session.close();
      },
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function affineBlock(id: string): UNetBlock {
  const block = AFFINE_BLOCKS.find((block) => block.id === id);
  if (block) return block;
  throw new TuttiError("NOT_FOUND", `There is no block "${id}"`);
}
