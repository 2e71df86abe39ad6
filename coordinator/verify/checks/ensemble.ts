/** AFA and its ablations: one forward pass of all experts under an aggregator. @module */

import { FormatError } from "../../../shared/errors.ts";
import { copyTensor, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { type Aggregator, UniformAggregator } from "../../sampling/aggregation.ts";
import { type AggregatedBlocks, aggregationPlan } from "../../sampling/aggregation_plan.ts";
import { conditioningOf } from "../../sampling/conditioning.ts";
import { EnsembleSession } from "../../sampling/session/ensemble_session.ts";
import { SabwAggregator } from "../../sampling/methods/sabw/sabw_aggregator.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext, Golden } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";

/** Every aggregated block `block.*`, every attention map `map.*`, and the noise `eps`. */
export async function checkAfa(context: FamilyContext, spec: CheckSpec): Promise<Comparison[]> {
  const golden = await context.golden(spec);
  const aggregator = await openSabw(context);
  try {
    const computed = await forwardOnce(context, golden, aggregator, "all");
    const names = golden.matching(spec.expect ?? ["eps"]);
    return await Promise.all(
      names.map(async (name) => compare(name, computed.get(name), await golden.f32(name))),
    );
  } finally {
    await aggregator.close();
  }
}

/** Block-wise average, noise average, and SABW on the last block only (paper, Table 3). */
export async function checkAblations(
  context: FamilyContext,
  spec: CheckSpec,
): Promise<Comparison[]> {
  const source = context.manifest.checks[spec.inputs_from ?? ""];
  if (!source) {
    throw new FormatError(
      `Check "ablations" must name another check in "inputs_from": current value is "${spec.inputs_from}"`,
    );
  }
  const [inputs, expected] = await Promise.all([context.golden(source), context.golden(spec)]);
  const sabw = await openSabw(context);
  const runs: readonly (readonly [string, Aggregator, AggregatedBlocks])[] = [
    ["block_wise_average", new UniformAggregator(), "all"],
    ["noise_average", new UniformAggregator(), "noise"],
    ["last_block_only", sabw, "noise"],
  ];
  try {
    const comparisons: Comparison[] = [];
    for (const [name, aggregator, aggregated] of runs) {
      const computed = await forwardOnce(context, inputs, aggregator, aggregated);
      comparisons.push(compare(name, computed.get("eps"), await expected.f32(name)));
    }
    return comparisons;
  } finally {
    await sabw.close();
  }
}

/** SABW as the manifest names it. */
export async function openSabw(context: FamilyContext): Promise<SabwAggregator> {
  const { sabw } = context.manifest;
  if (sabw === undefined) {
    throw new FormatError(`Manifest of "${context.folder}" must name a "sabw"`);
  }
  const experts = await context.experts();
  const shared = { ...experts[0]!.description, numExperts: experts.length };
  return await SabwAggregator.open(context.path(sabw), shared, context.lane);
}

/** A session on all experts with a golden's text states, for one prediction at its latents and timestep. */
export async function openPass(
  context: FamilyContext,
  golden: Golden,
  { keepInputs = false } = {},
): Promise<{ readonly x: F32Tensor; readonly session: EnsembleSession }> {
  const experts = await context.experts();
  const [x, timesteps] = await Promise.all([golden.f32("x"), golden.numbers("timestep")]);
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const conditionings = await Promise.all(experts.map(async (expert, i) => ({
    encoderHiddenStates: await golden.f32(`ctx.${context.letter(i)}`),
    temb: await expert.embedTimesteps(timesteps),
  })));
  const conditioning = conditioningOf(conditionings, batch, timesteps.length);
  const opening = { height, width, timesteps, keepInputs };
  return { x, session: await EnsembleSession.open(experts, conditioning, opening) };
}

async function forwardOnce(
  context: FamilyContext,
  golden: Golden,
  aggregator: Aggregator,
  aggregated: AggregatedBlocks,
): Promise<Map<string, F32Tensor>> {
  const experts = await context.experts();
  const { x, session: opened } = await openPass(context, golden);
  await using session = opened;
  const computed = new Map<string, F32Tensor>();
  const [eps] = await session.predictNoise({
    latentModelInput: x,
    index: 0,
    segments: aggregationPlan(experts[0]!.description.blocks, aggregated),
    aggregator,
    onSegment: ({ last, aggregatedFeatures, attentionMap }) => {
      computed.set(`block.${last}`, copyTensor(aggregatedFeatures!));
      if (attentionMap) computed.set(`map.${last}`, attentionMap);
    },
  });
  return computed.set("eps", eps!);
}
