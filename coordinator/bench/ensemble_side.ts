/**
 * One arrangement of an ensemble that is loaded and ready to step again and again on the same inputs: as a side of a
 * paired measurement.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { SampleStats } from "../cli/sample_stats.ts";
import type { Aggregator } from "../sampling/aggregation.ts";
import { type AggregatedBlocks, aggregationPlan } from "../sampling/aggregation_plan.ts";
import { conditioningOf } from "../sampling/conditioning.ts";
import { EnsembleSession, type PredictionRequest } from "../sampling/session/ensemble_session.ts";
import type { Side } from "./alternate.ts";
import { type CallInputs, type CallSize, randomInputs } from "./random_inputs.ts";
import { takeTurns } from "./take_turns.ts";

export interface EnsembleSideOptions extends CallSize {
  readonly name: string;
  /** Opened and closed by the caller, as is the aggregator. */
  readonly experts: readonly Expert[];
  readonly aggregator: Aggregator;
  /** @default "all" */
  readonly aggregated?: AggregatedBlocks;
  /** Whether the experts compute one after the other. @default false */
  readonly inTurns?: boolean;
  readonly signal?: AbortSignal;
}

export class EnsembleSide implements Side, AsyncDisposable {
  readonly name: string;
  readonly #session: EnsembleSession;
  readonly #request: PredictionRequest;
  #stats = new SampleStats();
  #noisePred: F32Tensor | undefined;

  private constructor(
    { name, experts, aggregator, aggregated, signal }: EnsembleSideOptions,
    inputs: CallInputs,
    session: EnsembleSession,
  ) {
    this.name = name;
    this.#session = session;
    this.#request = {
      latentModelInput: inputs.latents,
      index: 0,
      segments: aggregationPlan(experts[0]!.description.blocks, aggregated),
      aggregator,
      onSegment: (report) => this.#stats.add(report),
      ...(signal && { signal }),
    };
  }

  /** @throws {TuttiError} what an expert refuses */
  static async open(options: EnsembleSideOptions): Promise<EnsembleSide> {
    const { inTurns = false, signal } = options;
    const experts = inTurns ? takeTurns(options.experts) : options.experts;
    const inputs = randomInputs(experts[0]!.description, options);
    const { encoderHiddenStates, timesteps, addedCond, batch, height, width } = inputs.session;
    const embed = async (expert: Expert) => ({
      temb: await expert.embedTimesteps(timesteps, signal, addedCond),
      encoderHiddenStates,
      ...(addedCond && { addedCond }),
    });
    const conditionings = await Promise.all(experts.map(embed));
    const conditioning = conditioningOf(conditionings, batch, timesteps.length);
    const opening = {
      height,
      width,
      timesteps,
      ...(signal && { signal }),
    };
    const session = await EnsembleSession.open(experts, conditioning, opening);
    return new EnsembleSide(options, inputs, session);
  }

  /** Where the time of all steps went since the last `forget()`. */
  get stats(): SampleStats {
    return this.#stats;
  }

  /** Of the last step, f32 `[B, 4, H, W]`; undefined before it. */
  get noisePred(): F32Tensor | undefined {
    return this.#noisePred;
  }

  /** Warm-up is over: what was counted so far loaded weights. */
  forget(): void {
    this.#stats = new SampleStats();
  }

  /** One step: every block on every expert, and what makes one of their features. */
  async run(): Promise<void> {
    [this.#noisePred] = await this.#session.predictNoise(this.#request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }
}
