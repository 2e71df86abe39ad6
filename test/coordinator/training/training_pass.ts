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
  type TapeEntry,
} from "../../../coordinator/training/ensemble_backward.ts";
import { noiseLoss } from "../../../coordinator/training/noise_loss.ts";
import { SessionExpert } from "../../../coordinator/training/session_expert.ts";
import { TapedExpert } from "../../support/taped_expert.ts";
import { ForwardTape } from "../../../coordinator/training/forward_tape.ts";
import { ensembleForward } from "../../../coordinator/sampling/ensemble_forward.ts";
import { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import type { DifferentiableExpert } from "../../../shared/engine/backward.ts";
import type { ExpertSession } from "../../../shared/engine/expert.ts";
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

/** What a forward pass leaves for the way back. */
interface Forward {
  readonly tape: readonly TapeEntry[];
  readonly sessions: readonly ExpertSession[];
}

/**
 * @param wrap stands between the way back and an expert
 * @param by whether blocks are differentiated by calls of their own, or by the experts' own sessions
 */
export async function openTrainingPass(
  aggregated: AggregatedBlocks = "all",
  wrap: (expert: DifferentiableExpert) => DifferentiableExpert | Promise<DifferentiableExpert> = (
    expert,
  ) => expert,
  by: "calls" | "sessions" = "calls",
): Promise<TrainingPass> {
  const opened = await Promise.all([openGoldenExpert("a"), openGoldenExpert("b")]);
  const experts = await Promise.all(opened.map(wrap));
  const { golden, x, timesteps, texts } = await afaInputs();
  const { description } = experts[0]!;
  const CPU = { device: "cpu", threads: 1 } as const;
  const sabw = await TrainableSabw.open(SABW_FOLDER, { ...description, numExperts: 2 }, CPU);
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const tembs = await Promise.all(
    experts.map(async (expert) => repeatRows(await expert.embedTimesteps(timesteps), batch)),
  );
  const conditioning = { temb: mean(tembs), encoderHiddenStates: mean(texts) };
  async function forward<T>(
    latents: F32Tensor,
    use: (pass: { loss: number; gradNoise: F32Tensor } & Forward) => T | Promise<T>,
  ): Promise<T> {
    const sessions = await Promise.all(experts.map((expert, i) => {
      const encoderHiddenStates = texts[i]!;
      const config = { batch, height, width, encoderHiddenStates, timesteps };
      return by === "calls"
        ? LocalSession.open(expert, config)
        : expert.openSession({ ...config, keepInputs: true });
    }));
    try {
      const tape = new ForwardTape(latents);
      const [noise] = await ensembleForward({
        sessions,
        plan: aggregationPlan(description.blocks, aggregated),
        aggregation: { aggregator: sabw, conditioning },
        stepIndex: 0,
        latentModelInput: latents,
        onSegment: tape.add,
      });
      const loss = noiseLoss(noise!, golden.f32("target"));
      return await use({ ...loss, tape: tape.entries, sessions });
    } finally {
      await Promise.all(sessions.map((session) => session.close()));
    }
  }
  return {
    experts,
    sabw,
    x,
    loss: (latents) => forward(latents, ({ loss }) => loss),
    gradients: () =>
      forward(x, ({ gradNoise, tape, sessions }) =>
        ensembleBackward({
          experts: experts.map((expert, i) =>
            by === "calls"
              ? new TapedExpert({ expert, temb: tembs[i]!, encoderHiddenStates: texts[i]!, tape })
              : new SessionExpert(sessions[i]!, 0)
          ),
          aggregator: sabw,
          conditioning,
          blocks: description.blocks.map(({ id }) => id),
          tape,
          gradNoise,
        })),
    [Symbol.asyncDispose]: async () => {
      await sabw.close();
      await Promise.all(opened.map((expert) => expert.close()));
    },
  };
}
