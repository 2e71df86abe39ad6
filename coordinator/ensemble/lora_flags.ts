/** `--lora EXPERT=FILE:WEIGHT`: LoRAs for experts of an ensemble, beside those that its file names. @module */

import { resolve } from "node:path";
import {
  LORA_CHOICE_FORM,
  type LoraChoice,
  parseLoraChoice,
} from "../../shared/checkpoint/lora/lora_choice.ts";
import { UsageError } from "../../shared/errors.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import type { EnsembleExpert } from "../cluster/ensemble_file.ts";

export interface ExpertLora {
  readonly expert: string;
  readonly lora: LoraChoice;
}

/** Collects a flag that may be given several times. */
export function collectExpertLora(
  text: string,
  earlier: readonly ExpertLora[] = [],
): readonly ExpertLora[] {
  const [, expert = "", choice = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  const lora = parseLoraChoice(choice);
  if (expert === "" || lora === undefined) {
    throw new UsageError(
      `--lora must be EXPERT=${LORA_CHOICE_FORM}, as photo=ink.safetensors:0.8: current value is "${text}"`,
    );
  }
  return [...earlier, { expert, lora: { ...lora, path: resolve(lora.path) } }];
}

/**
 * The experts with what the flags add. A file that the ensemble names already gets the flag's weight.
 *
 * @throws {UsageError} if a flag names no expert, or a file twice
 */
export function withLoras(
  experts: readonly EnsembleExpert[],
  flags: readonly ExpertLora[],
): readonly EnsembleExpert[] {
  const names = experts.map(({ name }) => name);
  for (const [i, { expert, lora: { path } }] of flags.entries()) {
    if (!names.includes(expert)) {
      throw new UsageError(
        `--lora must name an expert (${names.join(", ")}): current name is "${expert}"` +
          didYouMean(expert, names),
      );
    }
    if (flags.findIndex((flag) => flag.expert === expert && flag.lora.path === path) < i) {
      throw new UsageError(`--lora must name a file once for "${expert}": "${path}" comes twice`);
    }
  }
  return experts.map((expert) => {
    const added = flags.filter((flag) => flag.expert === expert.name).map(({ lora }) => lora);
    const kept = expert.loras?.filter(({ path }) => !added.some((lora) => lora.path === path)) ??
      [];
    const loras = [...kept, ...added];
    return loras.length === 0 ? expert : { ...expert, loras };
  });
}
