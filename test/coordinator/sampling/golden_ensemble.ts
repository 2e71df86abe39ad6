/**
 * The reference ensemble (experts a and b, SABW) in this process, and one forward pass of it.
 *
 * @module
 */

import type { Aggregator } from "../../../coordinator/sampling/aggregation.ts";
import {
  type AggregatedBlocks,
  aggregationPlan,
} from "../../../coordinator/sampling/aggregation_plan.ts";
import { ensembleForward } from "../../../coordinator/sampling/ensemble_forward.ts";
import { SabwAggregator } from "../../../coordinator/sampling/methods/sabw/sabw_aggregator.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import type { LocalExpert } from "../../../shared/engine/local_expert.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { concatRows, copyTensor, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { Golden, goldenPath } from "../../support/goldens.ts";

export const SABW_FOLDER = goldenPath("sd15", "sabw");
const CPU = { device: "cpu", threads: 1 } as const;

export interface GoldenEnsemble extends AsyncDisposable {
  readonly a: LocalExpert;
  readonly b: LocalExpert;
  readonly experts: readonly Expert[];
  /** SABW for `numExperts` experts; closed with the ensemble. */
  openSabw(folder?: string, numExperts?: number): Promise<SabwAggregator>;
}

export async function openGoldenEnsemble(): Promise<GoldenEnsemble> {
  const [a, b] = await Promise.all([openGoldenExpert("a"), openGoldenExpert("b")]);
  const aggregators: Aggregator[] = [];
  return {
    a,
    b,
    experts: [a, b],
    openSabw: async (folder = SABW_FOLDER, numExperts = 2) => {
      const aggregator = await SabwAggregator.open(folder, { ...a.description, numExperts }, CPU);
      aggregators.push(aggregator);
      return aggregator;
    },
    [Symbol.asyncDispose]: async () => {
      for (const aggregator of aggregators) await aggregator.close();
      await Promise.all([a.close(), b.close()]);
    },
  };
}

/** Inputs of `expected/afa.safetensors`: the same latents and timestep, each expert's own text states. */
export interface PassInputs {
  readonly x: F32Tensor;
  readonly timesteps: readonly number[];
  /** Per expert, f32 `[B, L, D]`. */
  readonly texts: readonly F32Tensor[];
}

export async function afaInputs(): Promise<PassInputs & { readonly golden: Golden }> {
  const golden = await Golden.read("sd15", "expected", "afa.safetensors");
  return {
    golden,
    x: golden.f32("x"),
    timesteps: golden.numbers("timestep"),
    texts: [golden.f32("ctx.a"), golden.f32("ctx.b")],
  };
}

/** One ensembled forward pass: `eps`, and `block.ID` and `map.ID` of every aggregated block. */
export async function forwardOnce(
  experts: readonly Expert[],
  aggregator: Aggregator,
  { x, timesteps, texts }: PassInputs,
  aggregated: AggregatedBlocks = "all",
): Promise<Map<string, F32Tensor>> {
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const tembs = await Promise.all(experts.map((expert) => expert.embedTimesteps(timesteps)));
  const sessions = await Promise.all(
    experts.map((expert, i) =>
      expert.openSession({ batch, height, width, encoderHiddenStates: texts[i]!, timesteps })
    ),
  );
  const computed = new Map<string, F32Tensor>();
  const [eps] = await ensembleForward({
    sessions,
    plan: aggregationPlan(experts[0]!.description.blocks, aggregated),
    aggregation: {
      aggregator,
      conditioning: {
        temb: concatRows(new Array<F32Tensor>(batch).fill(mean(tembs))),
        encoderHiddenStates: mean(texts.slice(0, experts.length)),
      },
    },
    stepIndex: 0,
    latentModelInput: x,
    onSegment: ({ last, aggregatedFeatures, attentionMap }) => {
      computed.set(`block.${last}`, copyTensor(aggregatedFeatures!));
      if (attentionMap) computed.set(`map.${last}`, attentionMap);
    },
  });
  computed.set("eps", copyTensor(eps!));
  await Promise.all(sessions.map((session) => session.close()));
  return computed;
}
