/**
 * One forward and backward pass of an ensemble over the inputs of the AFA goldens, under any plan.
 *
 * @module
 */

import {
  type AggregatedBlocks,
  aggregationPlan,
} from "../../../coordinator/sampling/aggregation_plan.ts";
import {
  ensembleBackward,
  type EnsembleGradients,
} from "../../../coordinator/training/ensemble_backward.ts";
import { noiseLoss } from "../../../coordinator/training/noise_loss.ts";
import { TapedExpert } from "../../../coordinator/training/taped_expert.ts";
import { tapedForward } from "../../../coordinator/training/taped_forward.ts";
import { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import type { DifferentiableExpert } from "../../../shared/engine/backward.ts";
import { LocalSession } from "../../../shared/engine/local_session.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { type F32Tensor, repeatRows } from "../../../shared/tensor/tensor.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { afaInputs, SABW_FOLDER } from "../sampling/golden_ensemble.ts";

export interface TrainingPass extends AsyncDisposable {
  readonly experts: readonly DifferentiableExpert[];
  readonly sabw: TrainableSabw;
  readonly x: F32Tensor;
  /** The loss at these latents. */
  loss(x: F32Tensor): Promise<number>;
  gradients(): Promise<EnsembleGradients>;
}

/** @param wrap stands between the way back and an expert */
export async function openTrainingPass(
  aggregated: AggregatedBlocks = "all",
  wrap: (expert: DifferentiableExpert) => DifferentiableExpert = (expert) => expert,
): Promise<TrainingPass> {
  const opened = await Promise.all([openGoldenExpert("a"), openGoldenExpert("b")]);
  const experts = opened.map(wrap);
  const { golden, x, timesteps, texts } = await afaInputs();
  const { description } = experts[0]!;
  const CPU = { device: "cpu", threads: 1 } as const;
  const sabw = await TrainableSabw.open(SABW_FOLDER, { ...description, numExperts: 2 }, CPU);
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const tembs = await Promise.all(
    experts.map(async (expert) => repeatRows(await expert.embedTimesteps(timesteps), batch)),
  );
  const conditioning = { temb: mean(tembs), encoderHiddenStates: mean(texts) };
  async function forward(latents: F32Tensor) {
    const sessions = await Promise.all(
      experts.map((expert, i) =>
        LocalSession.open(expert, {
          batch,
          height,
          width,
          encoderHiddenStates: texts[i]!,
          timesteps,
        })
      ),
    );
    const { noise, tape } = await tapedForward({
      sessions,
      plan: aggregationPlan(description.blocks, aggregated),
      aggregator: sabw,
      conditioning,
      stepIndex: 0,
      latentModelInput: latents,
    });
    return { ...noiseLoss(noise, golden.f32("target")), tape };
  }
  return {
    experts,
    sabw,
    x,
    loss: async (latents) => (await forward(latents)).loss,
    gradients: async () => {
      const { gradNoise, tape } = await forward(x);
      return await ensembleBackward({
        experts: experts.map((expert, i) =>
          new TapedExpert({ expert, temb: tembs[i]!, encoderHiddenStates: texts[i]!, tape })
        ),
        aggregator: sabw,
        conditioning,
        blocks: description.blocks.map(({ id }) => id),
        tape,
        gradNoise,
      });
    },
    [Symbol.asyncDispose]: async () => {
      await sabw.close();
      await Promise.all(opened.map((expert) => expert.close()));
    },
  };
}
