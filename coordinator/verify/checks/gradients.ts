/** Gradients of the AFA loss: by the latents, and by every weight of SABW through all frozen experts. @module */

import type { Expert } from "../../../shared/engine/expert.ts";
import { FormatError } from "../../../shared/errors.ts";
import { blockIndex } from "../../../shared/models/blocks.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { aggregationPlan } from "../../sampling/aggregation_plan.ts";
import { ensembleBackward, type EnsembleGradients } from "../../training/ensemble_backward.ts";
import { noiseLoss } from "../../training/noise_loss.ts";
import { SessionExpert } from "../../training/session_expert.ts";
import { ForwardTape } from "../../training/forward_tape.ts";
import { TrainableSabw } from "../../training/trainable_sabw.ts";
import { compare, type Comparison } from "../check.ts";
import type { FamilyContext, Golden } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";
import { openPass } from "./ensemble.ts";

/** The manifests' "gradient_floor": a smaller share of the total norm is compared against this share of it. */
const FLOOR = 1e-4;

export async function checkAfaGradients(
  context: FamilyContext,
  spec: CheckSpec,
): Promise<Comparison[]> {
  const experts = await context.experts();
  if (spec.parameters === undefined) {
    throw new FormatError(`Check "afa_gradients" must name a file of "parameters"`);
  }
  const golden = await context.golden(spec);
  const expected = await context.golden({ file: spec.parameters });
  const { loss, gradients } = await lossAndGradients(context, golden, experts);
  const computed = new Map<string, F32Tensor>([
    ["loss", f32([1], [loss])],
    ["grad.x", gradients.gradLatents],
  ]);
  const comparisons: Comparison[] = [];
  for (const name of golden.matching(spec.expect ?? ["loss"])) {
    comparisons.push(compare(name, computed.get(name), await golden.f32(name)));
  }
  const { blocks } = experts[0]!.description;
  const parameters = new Map<string, F32Tensor>(
    [...gradients.gradParameters].flatMap(([block, byKey]) => {
      const j = blockIndex(blocks, block);
      return [...byKey].map(([key, gradient]) => [`aggregator_${j}.${key}`, gradient] as const);
    }),
  );
  return [...comparisons, ...await compareParameters(parameters, expected)];
}

async function lossAndGradients(
  context: FamilyContext,
  golden: Golden,
  experts: readonly Expert[],
): Promise<{ readonly loss: number; readonly gradients: EnsembleGradients }> {
  const { description } = experts[0]!;
  const { sabw } = context.manifest;
  if (sabw === undefined) {
    throw new FormatError(`Manifest of "${context.folder}" must name a "sabw"`);
  }
  const shared = { ...description, numExperts: experts.length };
  const aggregator = await TrainableSabw.open(context.path(sabw), shared, context.lane);
  try {
    const { x, session: opened } = await openPass(context, golden, { keepInputs: true });
    await using session = opened;
    const tape = new ForwardTape(x);
    const [noise] = await session.predictNoise({
      latentModelInput: x,
      index: 0,
      segments: aggregationPlan(description.blocks),
      aggregator,
      onSegment: tape.add,
    });
    const { loss, gradNoise } = noiseLoss(noise!, await golden.f32("target"));
    const gradients = await ensembleBackward({
      experts: session.sessions.map((each) => new SessionExpert(each, 0)),
      aggregator,
      conditioning: session.conditioningAt(0),
      tape: tape.entries,
      gradNoise,
    });
    return { loss, gradients };
  } finally {
    await aggregator.close();
  }
}

async function compareParameters(
  computed: ReadonlyMap<string, F32Tensor>,
  expected: Golden,
): Promise<Comparison[]> {
  const wanted = new Map<string, F32Tensor>();
  for (const name of expected.matching(["*"])) wanted.set(name, await expected.f32(name));
  const norm = ({ data }: F32Tensor) => Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0));
  const floor = FLOOR * Math.hypot(...[...wanted.values()].map(norm));
  return [...wanted].map(([name, gradient]) => {
    const comparison = compare(name, computed.get(name), gradient);
    const own = norm(gradient);
    if (own >= floor || comparison.relativeL2 === Infinity) return comparison;
    const { relativeL2 } = difference(computed.get(name)!.data, gradient.data);
    return { ...comparison, relativeL2: relativeL2 * (own || 1) / floor };
  });
}
