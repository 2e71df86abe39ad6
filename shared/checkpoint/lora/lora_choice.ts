/** How a user names a LoRA: `FILE:WEIGHT`, the weight 1 where it is left out. @module */

export interface LoraChoice {
  readonly path: string;
  /** Times the strength that the LoRA was trained for; negative takes away, 0 leaves the model as it is. */
  readonly weight: number;
}

/** What messages ask for. */
export const LORA_CHOICE_FORM = "FILE:WEIGHT with a finite number as weight";

const WEIGHT_FILE = /\.(safetensors|ckpt|pt|pth|bin)$/i;

/** @returns undefined if the text has another form */
export function parseLoraChoice(text: string): LoraChoice | undefined {
  // What follows the last colon is a weight, unless it goes on with a path (a drive's letter stood before).
  const [, path = text, weight = "1"] = /^(.*):([^:/\\]*)$/s.exec(text) ?? [];
  // A name may hold a colon, too.
  if (WEIGHT_FILE.test(weight)) return { path: text, weight: 1 };
  const value = Number(weight);
  if (path.trim() === "" || weight.trim() === "" || !Number.isFinite(value)) return undefined;
  return { path, weight: value };
}

export function formatLoraChoice({ path, weight }: LoraChoice): string {
  return `${path}:${weight}`;
}
