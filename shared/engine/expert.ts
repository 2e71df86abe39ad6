/**
 * What a coordinator asks of one expert (a U-Net with its text encoder), wherever it runs. Two
 * implementations: `LocalExpert` (this process, `local_expert.ts`) and `RemoteExpert` (a worker over
 * gRPC, `coordinator/cluster/remote_expert.ts`). Code above this line cannot tell them apart, and neither can the bits.
 *
 * Letters: B rows (both guidance halves), C channels, H W latent pixels, h w pixels of a block, L tokens,
 * D text width, Dt time embedding width, T timesteps.
 *
 * @module
 */

import type { LoraDescription } from "../checkpoint/lora/merge_loras.ts";
import type { OwnSchedule } from "../checkpoint/own_schedule.ts";
import type { PredictionType } from "../checkpoint/prediction_type.ts";
import type { BlockId, BlockSpec } from "../models/blocks.ts";
import type { Family } from "../models/families.ts";
import type { F32Tensor, Tensor } from "../tensor/tensor.ts";
import type { SessionLimits } from "../wire/check_limits.ts";
import type { WireDtypes } from "../wire/convert_plane.ts";
import type { ArenaMemory } from "./session_arena.ts";

/** Who an expert is. Everything that must match before two experts can play together, or a replica replace another. */
export interface ExpertDescription {
  /** Name to show: the folder or file that the weights came from. */
  readonly name: string;
  /** SHA-256 over the weights' files, hex. */
  readonly modelHash: string;
  /** What was merged into those weights; part of `modelHash`. */
  readonly loras: readonly LoraDescription[];
  /** As `modelHash`: the model without its LoRAs, and those that a merge is made of; absent for a model as its files have it. */
  readonly baseHashes?: readonly string[];
  readonly family: Family;
  readonly predictionType: PredictionType;
  /** What the model says of the noise that it was trained with; absent where it says nothing. */
  readonly ownSchedule?: OwnSchedule;
  /** Channels of the latents. */
  readonly latentChannels: number;
  /** Latent size that the model was trained at: `config.sample_size`. */
  readonly sampleSize: number;
  /** Dt */
  readonly timeEmbedDim: number;
  /** D */
  readonly crossAttentionDim: number;
  readonly blocks: readonly BlockSpec[];
  /** Text encoders: one for SD1.5, two for SDXL, none in a file that holds the U-Net alone. */
  readonly texts: readonly TextDescription[];
  /** P, width of the pooled text states that condition an SDXL U-Net; 0 for others. */
  readonly pooledPromptDim: number;
  readonly fingerprint: NumericsFingerprint;
}

/** Who a model is whatever files hold it: `shared/checkpoint/weights_hash.ts`. Of a merge: its `modelHash`. */
export interface WeightsHashes {
  /** LoRAs included, as in `modelHash`. */
  readonly weightsHash: string;
  /** Without them. */
  readonly baseWeightsHash: string;
}

export interface TextDescription {
  readonly vocabSize: number;
  /** L of one prompt chunk, begin and end tokens included. */
  readonly maxLength: number;
  readonly hiddenSize: number;
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  readonly padTokenId: number;
  /** Width of the encoder's pooled output. */
  readonly pooledDim: number;
}

/** What conditions an SDXL U-Net besides the text states (`docs/spec.md`, "SDXL"). */
export interface AddedCond {
  /** From the second text encoder, f32 `[B, P]`. */
  readonly pooledPromptEmbeds: F32Tensor;
  /** Original height and width, crop top and left, target height and width in pixels; f32 `[B, 6]`. */
  readonly timeIds: F32Tensor;
}

/** What bit identity is promised for: two experts with equal fingerprints and weights give equal bits. */
export interface NumericsFingerprint {
  readonly runtime: string;
  readonly device: string;
  /** `f32` or `f16`: what is computed in. */
  readonly precision: string;
  /** Instruction sets of the processor, and the graphics adapter if there is one at work. */
  readonly isa: string;
  readonly threads: number;
  /** SHA-256 over the printed graphs of all blocks. */
  readonly graphHash: string;
}

/** How a text encoder is to be run. */
export interface TextOptions {
  /** 0, or 1 for SDXL's second encoder. @default 0 */
  readonly encoder?: 0 | 1;
  /**
   * Layers from the end, as stable-diffusion-webui counts them: 1 takes the last layer, 2 the last but one (in
   * diffusers `clip_skip=1`), up to the number of layers. @default 1
   */
  readonly clipSkip?: number;
}

export interface TextEncoding {
  /** Output of the layer that `clipSkip` names, after the final layer norm, f32 `[B, L, D]`. */
  readonly lastHiddenState: F32Tensor;
  /** Before the last layer, without final layer norm, f32 `[B, L, D]`. */
  readonly penultimateHiddenState: F32Tensor;
  /**
   * Output of the last layer (whatever `clipSkip` is), after the final layer norm, at each row's first end token;
   * projected where the encoder has a projection; f32 `[B, pooledDim]`.
   */
  readonly pooled: F32Tensor;
}

/** Of one step: one for all rows, or one for each. */
export type StepTimesteps = number | readonly number[];

/** Where a session's inputs that never change come from. */
export interface SessionConfig {
  /** B */
  readonly batch: number;
  /** H, in latent pixels */
  readonly height: number;
  /** W, in latent pixels */
  readonly width: number;
  /** f32 `[B, L, D]`; from this expert's own text encoder. */
  readonly encoderHiddenStates: F32Tensor;
  /** Of every step that will be asked for, in order; forwards name them by index. */
  readonly timesteps: readonly StepTimesteps[];
  /** SDXL needs it, other families refuse it. */
  readonly addedCond?: AddedCond;
  /**
   * Whose work this is. The sessions of one job share its turn: an expert divides its time fairly between jobs, however
   * many sessions each has. @default a job of its own
   */
  readonly job?: string;
  /**
   * Which of the job's owners asks, counted up whenever the job gets another one. A worker refuses an owner once it has
   * met a later one of the same job, so that one who was taken for dead can do no harm. @default nobody else owns the job
   */
  readonly fence?: number;
  /** What feature maps are on the way to an expert elsewhere. @default what its connection was opened with */
  readonly wireDtypes?: Partial<WireDtypes>;
  /** Where an expert of this process keeps the session's feature maps. @default memory of its own */
  readonly memory?: ArenaMemory;
  /** Whether every block's input stays until the next step, for `backward()`: takes more memory. @default false */
  readonly keepInputs?: boolean;
  /** Of an expert elsewhere: how long the session may wait for room there, ms; 0 is refused at once. @default 0 */
  readonly waitMs?: number;
  /**
   * Of an expert elsewhere: whether its client can go on with another replica. A worker that drains sends it there at the
   * end of a step. @default false
   */
  readonly canMove?: boolean;
  /** Of an expert elsewhere: sessions of the job there, this one included; room is set aside for all. @default 1 */
  readonly jobSessions?: number;
}

/** Of a batch whose rows have every timestep in common, as in sampling. */
export interface CommonSessionConfig extends SessionConfig {
  readonly timesteps: readonly number[];
}

/** Runs blocks `first..last` (ids, inclusive) on `hiddenStates`. */
export interface ForwardRange {
  /** Index into `SessionConfig.timesteps`. */
  readonly stepIndex: number;
  readonly first: BlockId;
  readonly last: BlockId;
  /**
   * Input of `first`: the latents for IN00, otherwise the (aggregated) output of the block before, f32
   * `[B, C, h, w]`. The session keeps a copy where a later OUT block wants it as skip, unless it lies in the session's
   * own `inputBuffer()` already.
   */
  readonly hiddenStates: F32Tensor;
}

export interface ForwardResult {
  /**
   * Output of `last`, f32 `[B, C, h, w]`. Of a session: in the session's memory, which its next forward overwrites and
   * its end takes away. Whoever needs it longer keeps a copy (`copyTensor()`).
   */
  readonly hiddenStates: F32Tensor;
  /** Milliseconds in the graphs, waiting for a lane, and waiting for weights that were not in memory yet. */
  readonly computeMs: number;
  readonly queueMs: number;
  readonly loadMs: number;
  readonly travel?: Travel;
}

/** Of an expert elsewhere: how the feature maps travelled, and their bytes on the way. */
export interface Travel {
  readonly plane: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

/** Asks for the gradients of blocks `first..last` (ids, inclusive) of the step that ran last. */
export interface SessionBackward {
  /** Index into `SessionConfig.timesteps`: of that step. */
  readonly stepIndex: number;
  readonly first: BlockId;
  readonly last: BlockId;
  /** Gradient of the output of `last`, f32 `[B, C, h, w]`; without that of a skip that never left the session. */
  readonly gradOutput: F32Tensor;
}

/** In the session's memory, as a `ForwardResult`. */
export interface SessionGradients {
  /** Of the input of `first`, f32 `[B, C, h, w]`. */
  readonly gradHiddenStates: F32Tensor;
  /**
   * Of the skips of OUT blocks in the range that had left the session as some range's output, by the block that made
   * them, in the order in which those run. Of other skips the session adds the gradients up itself.
   */
  readonly gradResiduals: ReadonlyMap<BlockId, F32Tensor>;
  readonly computeMs: number;
  readonly queueMs: number;
  readonly travel?: Travel;
}

/**
 * One image batch on one expert. Blocks run in order, from the first to the last; then the next step
 * starts again at the first. Skips stay inside.
 */
export interface ExpertSession {
  /** Of an expert elsewhere: what its worker calls the session. */
  readonly id?: string;
  /** Of an expert elsewhere: settles when the session has ended, also where nobody here closed it. */
  readonly ended?: Promise<unknown>;
  /**
   * Memory in which the input of a range is wanted: what is written there travels without a copy. `undefined` where any
   * memory is as good.
   *
   * @throws {TuttiError} as `forward()` does, if that range may not come now
   */
  inputBuffer(range: Omit<ForwardRange, "hiddenStates">): F32Tensor | undefined;
  /** @throws {TuttiError} FAILED_PRECONDITION on blocks out of order, INVALID_ARGUMENT on wrong shapes, DATA_LOSS on NaN */
  forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult>;
  /**
   * For a session that replaces another in the middle of a step: takes the input of `first` as `forward()` does and goes on
   * after `last`, without computing. No block after `last` may take its skip from the blocks before `last`, from `first` on.
   *
   * @throws {TuttiError} as `forward()`; FAILED_PRECONDITION if a skip would be missing, or the session keeps inputs
   */
  restore?(range: ForwardRange, signal?: AbortSignal): Promise<void>;
  /** As `inputBuffer()`, for the gradient that a range of the way back takes. */
  gradientBuffer?(range: Omit<SessionBackward, "gradOutput">): F32Tensor | undefined;
  /**
   * The way back through a step whose blocks have all run, in a session that keeps inputs: in ranges from the last block to
   * the first, none across the end of a range that ran forward. It may begin again at the last block at any time; a range
   * that failed may be asked for again.
   *
   * @throws {TuttiError} FAILED_PRECONDITION on ranges out of order, and if the session keeps no inputs; else as `forward()`
   */
  backward?(range: SessionBackward, signal?: AbortSignal): Promise<SessionGradients>;
  close(): Promise<void>;
}

export interface Expert {
  readonly description: ExpertDescription;
  /** Of an expert elsewhere: what its worker said that it takes. */
  readonly limits?: SessionLimits;
  /**
   * @param inputIds int64 `[B, L]`, padded to the encoder's `maxLength`
   * @throws {TuttiError} FAILED_PRECONDITION if the expert has no such encoder, INVALID_ARGUMENT on wrong ids or
   * a `clipSkip` beyond its layers
   */
  encodeText(
    inputIds: Tensor<"int64">,
    options?: TextOptions,
    signal?: AbortSignal,
  ): Promise<TextEncoding>;
  /**
   * Time embeddings after the MLP, f32 `[T, Dt]`; with `addedCond` they differ between rows and are f32 `[T B, Dt]`,
   * all rows of the first timestep first.
   */
  embedTimesteps(
    timesteps: readonly number[],
    signal?: AbortSignal,
    addedCond?: AddedCond,
  ): Promise<F32Tensor>;
  openSession(config: SessionConfig, signal?: AbortSignal): Promise<ExpertSession>;
  /**
   * Reads all weights when it is asked for the first time: seconds. Absent, or `undefined`, where nobody can tell: the
   * expert is no model's, or its worker is of an earlier version.
   */
  weightsHashes?(signal?: AbortSignal): Promise<WeightsHashes | undefined>;
  close(): Promise<void>;
}
