/**
 * One arrangement of an ensemble that is loaded and ready to step again and again on the same inputs: as a side of a
 * paired measurement.
 *
 * @module
 */

import type { Expert, ExpertSession } from "../../shared/engine/expert.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import { copyTensor, type F32Tensor, repeatRows } from "../../shared/tensor/tensor.ts";
import { SampleStats } from "../cli/sample_stats.ts";
import type { AggregationConditioning, Aggregator } from "../sampling/aggregation.ts";
import {
  type AggregatedBlocks,
  aggregationPlan,
  type Segment,
} from "../sampling/aggregation_plan.ts";
import { ensembleForward } from "../sampling/ensemble_forward.ts";
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
  readonly #sessions: readonly ExpertSession[];
  readonly #aggregator: Aggregator;
  readonly #conditioning: AggregationConditioning;
  readonly #plan: readonly Segment[];
  readonly #latents: F32Tensor;
  readonly #signal: AbortSignal | undefined;
  #stats = new SampleStats();
  #noisePred: F32Tensor | undefined;

  private constructor(
    { name, experts, aggregator, aggregated, inTurns = false, signal }: EnsembleSideOptions,
    inputs: CallInputs,
    sessions: readonly ExpertSession[],
    conditioning: AggregationConditioning,
  ) {
    this.name = name;
    this.#sessions = inTurns ? takeTurns(sessions) : sessions;
    this.#aggregator = aggregator;
    this.#conditioning = conditioning;
    this.#plan = aggregationPlan(experts[0]!.description.blocks, aggregated);
    this.#latents = inputs.latents;
    this.#signal = signal;
  }

  /** @throws {TuttiError} what an expert refuses; sessions that are open are then closed with their experts */
  static async open(options: EnsembleSideOptions): Promise<EnsembleSide> {
    const { experts, signal } = options;
    const inputs = randomInputs(experts[0]!.description, options);
    const { encoderHiddenStates, timesteps, addedCond, batch } = inputs.session;
    const tembs = await Promise.all(
      experts.map((expert) => expert.embedTimesteps(timesteps, signal, addedCond)),
    );
    const temb = mean(tembs);
    const sessions = await Promise.all(
      experts.map((expert) => expert.openSession(inputs.session, signal)),
    );
    return new EnsembleSide(options, inputs, sessions, {
      // With added conditioning there is a row for every row of the batch already.
      temb: addedCond ? temb : repeatRows(temb, batch),
      encoderHiddenStates,
    });
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
    const noisePred = await ensembleForward({
      sessions: this.#sessions,
      plan: this.#plan,
      aggregator: this.#aggregator,
      conditioning: this.#conditioning,
      stepIndex: 0,
      latentModelInput: this.#latents,
      onSegment: (report) => this.#stats.add(report),
      ...(this.#signal && { signal: this.#signal }),
    });
    this.#noisePred = copyTensor(noisePred);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#sessions.map((session) => session.close()));
  }
}
