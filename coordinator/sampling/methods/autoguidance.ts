/**
 * Guidance of a strong model by a weak one (Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself"):
 * away from what the weak one would do.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { aggregationPlan } from "../aggregation_plan.ts";
import type { MethodDefinition } from "./definition.ts";

export const AUTOGUIDANCE: MethodDefinition = {
  name: "autoguidance",
  aliases: ["auto-guidance"],
  summary: "a strong expert, led away from a weak one: strong=NAME, weak=NAME, w=0.5",
  build(options, { experts, blocks }) {
    const strong = options.expert("strong") ?? 0, weak = options.expert("weak") ?? 1;
    const weight = options.number("w", { min: 0 }) ?? 0.5;
    if (strong === weak || experts[weak] === undefined) {
      throw new UsageError(
        `Method autoguidance needs two experts, as autoguidance:strong=${experts[0]},weak=${
          experts[1] ?? "NAME"
        }: experts are ${experts.join(", ")}`,
      );
    }
    const plan = { experts: [strong, weak], segments: aggregationPlan(blocks, "noise") };
    return {
      name: "autoguidance",
      conditions: { method: `autoguidance ${JSON.stringify({ strong, weak, weight })}` },
      asked: plan.experts,
      plan: () => plan,
      combineNoise([good, bad]) {
        const { conditional, unconditional } = good!;
        return {
          conditional: awayFrom(conditional, bad!.conditional, weight),
          ...(unconditional && {
            unconditional: awayFrom(unconditional, bad!.unconditional!, weight),
          }),
        };
      },
    };
  },
};

/** `eps_1 + w (eps_1 - eps_0)` */
export function awayFrom(strong: F32Tensor, weak: F32Tensor, weight: number): F32Tensor {
  return lincomb([[1 + weight, strong], [-weight, weak]]);
}
