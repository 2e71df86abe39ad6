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
import type { Expert, ExpertSession } from "../../../shared/engine/expert.ts";
import type { LocalExpert } from "../../../shared/engine/local_expert.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { type F32Tensor, repeatRows } from "../../../shared/tensor/tensor.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { afaInputs, SABW_FOLDER } from "../sampling/golden_ensemble.ts";

export interface TrainingPass extends AsyncDisposable {
  readonly experts: readonly LocalExpert[];
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
 * @param connect makes of an expert the one whose sessions run and differentiate the blocks; without it each block is
 * differentiated by a call of its own
 */
export async function openTrainingPass(
  aggregated: AggregatedBlocks = "all",
  connect?: (expert: LocalExpert) => Promise<Expert>,
): Promise<TrainingPass> {
  const experts = await Promise.all([openGoldenExpert("a"), openGoldenExpert("b")]);
  const players = connect ? await Promise.all(experts.map(connect)) : experts;
  const { golden, x, timesteps, texts } = await afaInputs();
  const { description } = experts[0]!;
  const CPU = { device: "cpu", threads: 1 } as const;
  const sabw = await TrainableSabw.open(SABW_FOLDER, { ...description, numExperts: 2 }, CPU);
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const tembs = await Promise.all(
    players.map(async (expert) => repeatRows(await expert.embedTimesteps(timesteps), batch)),
  );
  const conditioning = { temb: mean(tembs), encoderHiddenStates: mean(texts) };
  async function forward<T>(
    latents: F32Tensor,
    use: (pass: { loss: number; gradNoise: F32Tensor } & Forward) => T | Promise<T>,
  ): Promise<T> {
    const sessions = await Promise.all(players.map((expert, i) => {
      const encoderHiddenStates = texts[i]!;
      const config = { batch, height, width, encoderHiddenStates, timesteps };
      return expert.openSession({ ...config, keepInputs: connect !== undefined });
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
            connect
              ? new SessionExpert(sessions[i]!, 0)
              : new TapedExpert({ expert, temb: tembs[i]!, encoderHiddenStates: texts[i]!, tape })
          ),
          aggregator: sabw,
          conditioning,
          tape,
          gradNoise,
        })),
    [Symbol.asyncDispose]: async () => {
      await sabw.close();
      await Promise.all(experts.map((expert) => expert.close()));
    },
  };
}
