/** Inputs for one U-Net call of any expert: random, of the spread that real ones have. @module */

import { SD15_VAE } from "../../shared/models/config/known_configs.ts";
import type { CommonSessionConfig, ExpertDescription } from "../../shared/engine/expert.ts";
import { TIME_IDS } from "../../shared/engine/time_inputs.ts";
import { UsageError } from "../../shared/errors.ts";
import { vaeFactor } from "../../shared/models/config/vae_config.ts";
import { f32, type F32Tensor, i64, type Tensor } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";

export interface CallSize {
  /** Pixels of the image. */
  readonly width: number;
  readonly height: number;
  /** Rows: two with guidance. */
  readonly batch: number;
}

export interface CallInputs {
  readonly session: CommonSessionConfig;
  readonly latents: F32Tensor;
}

/** Tokens of the text, where the expert has no encoder that would tell. */
const TOKENS = 77;
/** In the middle of the schedule. */
const TIMESTEP = 500;

/** @throws {UsageError} if the size is no multiple of the VAE's factor */
export function randomInputs(
  { latentChannels, crossAttentionDim, pooledPromptDim, texts }: ExpertDescription,
  size: CallSize,
): CallInputs {
  const { height, width } = latentSize(size);
  const { batch } = size;
  const noise = new TorchCpuGenerator(0);
  const tokens = texts[0]?.maxLength ?? TOKENS;
  const sizes = [size.height, size.width, 0, 0, size.height, size.width];
  const addedCond = {
    pooledPromptEmbeds: noise.randn([batch, Math.max(1, pooledPromptDim)]),
    timeIds: f32([batch, TIME_IDS], new Array<number[]>(batch).fill(sizes).flat()),
  };
  return {
    session: {
      batch,
      height,
      width,
      encoderHiddenStates: noise.randn([batch, tokens, crossAttentionDim]),
      timesteps: [TIMESTEP],
      ...(pooledPromptDim > 0 && { addedCond }),
    },
    latents: noise.randn([batch, latentChannels, height, width]),
  };
}

/** Latent pixels; the VAEs of all families have one factor. */
export function latentSize(
  { width, height }: Pick<CallSize, "width" | "height">,
): { readonly width: number; readonly height: number } {
  const factor = vaeFactor(SD15_VAE);
  if (width % factor !== 0 || height % factor !== 0 || width * height === 0) {
    throw new UsageError(
      `--size must be multiples of ${factor} pixels: current value is ${width}x${height}`,
    );
  }
  return { width: width / factor, height: height / factor };
}

/** An empty prompt for one text encoder, int64 `[B, L]`. */
export function emptyPrompt(
  { bosTokenId, eosTokenId, padTokenId, maxLength }: ExpertDescription["texts"][number],
  batch: number,
): Tensor<"int64"> {
  const row = [bosTokenId, eosTokenId, ...new Array<number>(maxLength).fill(padTokenId)];
  return i64([batch, maxLength], new Array(batch).fill(row.slice(0, maxLength)).flat());
}
