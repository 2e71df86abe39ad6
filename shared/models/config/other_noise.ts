/** Models whose noise is none that Tutti samples, told by the words and classes of their configs, and refused by what they are. @module */

import { FormatError } from "../../errors.ts";
import { didYouMean } from "../../terminal/did_you_mean.ts";
import type { ConfigFields } from "./fields.ts";

/** diffusers' schedulers for models that were trained with the noise of betas (DDPM). */
const BETA_CLASSES = [
  "DDIMInverseScheduler",
  "DDIMParallelScheduler",
  "DDIMScheduler",
  "DDPMParallelScheduler",
  "DDPMScheduler",
  "DEISMultistepScheduler",
  "DPMSolverMultistepInverseScheduler",
  "DPMSolverMultistepScheduler",
  "DPMSolverSDEScheduler",
  "DPMSolverSinglestepScheduler",
  "EulerAncestralDiscreteScheduler",
  "EulerDiscreteScheduler",
  "HeunDiscreteScheduler",
  "KDPM2AncestralDiscreteScheduler",
  "KDPM2DiscreteScheduler",
  "LCMScheduler",
  "LMSDiscreteScheduler",
  "PNDMScheduler",
  "SASolverScheduler",
  "TCDScheduler",
  "UniPCMultistepScheduler",
];

/** What Tutti does not sample, as users know it. */
export const EDM_NOISE = "EDM (Karras et al. 2022), as Playground v2.5 and CosXL are";
export const FLOW_MATCHING = "flow matching (rectified flow)";
export const SAMPLED_MODELS =
  "Tutti samples models of noise or velocity (v_prediction) that were trained on betas";

/** Kinds of models whose noise is another one, by what a config's word for it contains. */
const OTHER_NOISE: readonly (readonly [RegExp, string])[] = [
  // Cosine... is EDM's multistep solver with a velocity.
  [/edm|^CosineDPMSolver/i, EDM_NOISE],
  [/flow|^rf$/i, FLOW_MATCHING],
];

/** @returns what kind of model a word for a prediction or a scheduler names, if it is one that Tutti does not sample */
export function otherNoise(word: string): string | undefined {
  return OTHER_NOISE.find(([pattern]) => pattern.test(word))?.[1];
}

/**
 * @param fields of a `scheduler_config.json`
 * @throws {FormatError} if it is of a model with another noise, or of a class that is not known
 */
export function refuseOtherNoise(fields: ConfigFields): void {
  const refuse = (key: string, kind: string, value: unknown) => {
    throw new FormatError(
      `Config "${fields.path}" is of a model that is not supported: ${JSON.stringify(key)} is ` +
        `${JSON.stringify(value)}, which is ${kind}; ${SAMPLED_MODELS}`,
    );
  };
  for (const key of ["_class_name", "prediction_type"]) {
    const word = fields.has(key) ? fields.text(key) : "";
    const kind = otherNoise(word);
    if (kind !== undefined) refuse(key, kind, word);
  }
  // Continuous timesteps are logarithms of EDM's noise levels.
  if (fields.has("timestep_type") && fields.text("timestep_type") === "continuous") {
    refuse("timestep_type", EDM_NOISE, "continuous");
  }
  if (fields.boolean("use_flow_sigmas", false)) refuse("use_flow_sigmas", FLOW_MATCHING, true);
  const name = fields.text("_class_name", BETA_CLASSES[0]);
  if (BETA_CLASSES.includes(name)) return;
  throw new FormatError(
    `Config "${fields.path}": "_class_name" must be one of ${BETA_CLASSES.join(", ")}: ` +
      `current value is ${JSON.stringify(name)}${didYouMean(name, BETA_CLASSES)}`,
  );
}
