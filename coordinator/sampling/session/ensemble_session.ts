/**
 * A batch on all experts of an ensemble: one session on each, and what the aggregator looks at besides the features. Whoever
 * predicts noise with several experts (sampling, training, verification, benchmarks) does it here.
 *
 * @module
 */

import type { Expert, ExpertSession, StepTimesteps } from "../../../shared/engine/expert.ts";
import { ShapeError } from "../../../shared/errors.ts";
import { inSpan } from "../../../shared/telemetry/tracing.ts";
import {
  concatRows,
  copyTensor,
  type F32Tensor,
  sliceRows,
} from "../../../shared/tensor/tensor.ts";
import type { WireDtypes } from "../../../shared/wire/convert_plane.ts";
import { Patience } from "../../cluster/admission_retry.ts";
import type { AggregationConditioning, Aggregator } from "../aggregation.ts";
import { aggregationPlan, type Segment } from "../aggregation_plan.ts";
import type { Conditioning } from "../conditioning.ts";
import { ensembleForward, type SegmentReport } from "../ensemble_forward.ts";
import type { GuidanceHalf } from "../guidance.ts";
import { sideBySide } from "../side_by_side.ts";
import { closeWaves, openWaves, type Wave } from "./wave_sessions.ts";
import { splitIntoWaves, type WaveRows } from "./waves.ts";

/** What a session of an ensemble is opened for. */
export interface EnsembleOpening {
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
  /** Of every prediction that will be asked for, in order; predictions name them by index. */
  readonly timesteps: readonly StepTimesteps[];
  /** One per row of the batch. @default all conditional */
  readonly halves?: readonly GuidanceHalf[];
  /**
   * Into how many parts the rows are split. They travel on their own: while one is on its way or is aggregated, the experts
   * compute another. Each takes a session on every expert. More than there are rows are as many as there are rows.
   * @default 1
   */
  readonly waves?: number;
  /** Names this run to the experts, which divide their time fairly between jobs. @default a random name */
  readonly job?: string;
  /** As in `SessionConfig`. */
  readonly fence?: number;
  /** As in `SessionConfig`. */
  readonly wireDtypes?: Partial<WireDtypes>;
  /** As in `SessionConfig`: whether there will be a way back. @default false */
  readonly keepInputs?: boolean;
  /** How long to wait for room on workers that are full. @default not at all */
  readonly patience?: Patience;
  readonly signal?: AbortSignal;
}

/** One prediction that is asked for. */
export interface PredictionRequest {
  /**
   * What the U-Nets are given, f32 `[R, 4, H, W]` with a row for each of `halves`; or for the conditional ones alone, where these
   * have waves of their own.
   */
  readonly latentModelInput: F32Tensor;
  /** Index into `EnsembleOpening.timesteps`. */
  readonly index: number;
  /** Blocks whose outputs are aggregated. */
  readonly segments: readonly Segment[];
  /** Which experts are asked, by index among those of the session. @default all, in their order */
  readonly experts?: readonly number[];
  /** Makes one feature map of the experts'. Without it their noises stay apart. */
  readonly aggregator?: Pick<Aggregator, "name" | "aggregate">;
  readonly onSegment?: (report: SegmentReport) => void;
  readonly signal?: AbortSignal;
}

export class EnsembleSession implements AsyncDisposable {
  readonly #waves: readonly Wave[];
  /** Of each expert, its blocks from the first to the last. */
  readonly #wholes: readonly Segment[];
  readonly #conditioning: Conditioning;
  readonly #halves: readonly GuidanceHalf[];
  readonly #texts = new Map<WaveRows, F32Tensor>();

  private constructor(
    waves: readonly Wave[],
    wholes: readonly Segment[],
    conditioning: Conditioning,
    halves: readonly GuidanceHalf[],
  ) {
    this.#waves = waves;
    this.#wholes = wholes;
    this.#conditioning = conditioning;
    this.#halves = halves;
  }

  /**
   * A session on each expert, or none if one refuses.
   *
   * @param conditioning of the experts, in their order, with a row for each of `halves`
   * @throws {TuttiError} what an expert refused for good, or still refuses when the patience is used up
   */
  static async open(
    experts: readonly Expert[],
    conditioning: Conditioning,
    opening: EnsembleOpening,
  ): Promise<EnsembleSession> {
    const rows = conditioning.experts[0]?.encoderHiddenStates.shape[0] ?? 0;
    const { halves = new Array<GuidanceHalf>(rows).fill("conditional"), ...others } = opening;
    const { waves: count = 1, patience, signal, job, ...common } = others;
    const isGuided = halves.includes("unconditional");
    const images = halves.filter((half) => half === "conditional").length;
    const waves = await openWaves(
      experts,
      splitIntoWaves(images, isGuided ? 2 : 1, count),
      conditioning,
      { ...common, job: job ?? crypto.randomUUID() },
      { patience: patience ?? new Patience({ waitMs: 0, signal }), signal },
    );
    const wholes = experts.map(({ description: { blocks } }) =>
      aggregationPlan(blocks, "noise")[0]!
    );
    return new EnsembleSession(waves, wholes, conditioning, halves);
  }

  /**
   * One forward pass of the ensembled U-Net over all rows (`ensembleForward()`), wave beside wave.
   *
   * @returns the aggregated prediction, or each asked expert's own without an aggregator; f32 `[R, 4, H, W]` each
   * @throws {TuttiError} what the first expert that failed threw; the others' calls are cancelled
   */
  async predictNoise(request: PredictionRequest): Promise<F32Tensor[]> {
    const { latentModelInput, index, segments, experts, aggregator, onSegment, signal } = request;
    const { waves, leftOut } = this.#wavesOf(latentModelInput);
    const chosen = <T>(of: readonly T[]) => experts?.map((expert) => of[expert]!) ?? of;
    const forward = ({ sessions, rows }: Wave, signal: AbortSignal) =>
      ensembleForward({
        sessions: chosen(sessions),
        plan: segments,
        wholes: chosen(this.#wholes),
        ...(aggregator && {
          aggregation: { aggregator, conditioning: this.#conditioningOf(rows, index) },
        }),
        ...(onSegment && { onSegment }),
        stepIndex: index,
        latentModelInput: sliceRows(latentModelInput, rows.start - leftOut, rows.end - leftOut),
        firstRow: rows.start,
        signal,
      });
    const byWave = await inSpan(
      "step",
      { "tutti.step": index },
      () => sideBySide(waves, forward, signal),
    );
    // Predictions may lie in a session's memory, which its next forward overwrites.
    if (byWave.length === 1) return byWave[0]!.map(copyTensor);
    return byWave[0]!.map((_, i) => concatRows(byWave.map((predictions) => predictions[i]!)));
  }

  /** The waves that have rows in an input, and how many rows before them have none. */
  #wavesOf(latentModelInput: F32Tensor): { readonly waves: readonly Wave[]; leftOut: number } {
    const leftOut = this.#halves.length - latentModelInput.shape[0]!;
    if (leftOut === 0) return { waves: this.#waves, leftOut };
    const waves = this.#waves.filter(({ rows }) => rows.start >= leftOut);
    if (this.#halves.indexOf("conditional") === leftOut && waves[0]?.rows.start === leftOut) {
      return { waves, leftOut };
    }
    throw new ShapeError(
      `An input must have ${this.#halves.length} rows: current shape is [${latentModelInput.shape}]`,
    );
  }

  /** What an aggregator looks at besides the features, for all rows. */
  conditioningAt(index: number): AggregationConditioning {
    return { ...this.#conditioning.at!(index), halves: this.#halves };
  }

  /** The same for a wave. Means are taken when somebody looks at them: experts of different widths have none. */
  #conditioningOf(rows: WaveRows, index: number): AggregationConditioning {
    const { start, end } = rows;
    const means = () => this.#conditioning.at!(index);
    const texts = this.#texts;
    let temb: F32Tensor | undefined;
    return {
      get temb() {
        return temb ??= sliceRows(means().temb, start, end);
      },
      get encoderHiddenStates() {
        // One object for all steps: SABW keeps with it what it computes of the text.
        const text = texts.get(rows) ?? sliceRows(means().encoderHiddenStates, start, end);
        texts.set(rows, text);
        return text;
      },
      halves: this.#halves.slice(start, end),
    };
  }

  /** Of the experts, in their order, for the way back through a prediction that was not split into waves. */
  get sessions(): readonly ExpertSession[] {
    return this.#waves[0]!.sessions;
  }

  /** Closes the session on each expert; what fails in that does not count. */
  async [Symbol.asyncDispose](): Promise<void> {
    await closeWaves(this.#waves);
  }
}
