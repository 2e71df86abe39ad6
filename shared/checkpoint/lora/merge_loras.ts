/**
 * A checkpoint with LoRAs: the same tables of weights, where every weight that a LoRA changes also says by what. Nothing
 * is added up before a graph is loaded. Every layer of every file must find its weight, or the file is refused: a
 * LoRA that is applied in part draws something that no one made.
 *
 * @module
 */

import { FormatError, UsageError } from "../../errors.ts";
import type { WeightLocation, WeightTable } from "../../models/weights.ts";
import { show } from "../../show.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { fileHash } from "../model_hash.ts";
import { fitLayers } from "./fit_layers.ts";
import type { LoraChoice } from "./lora_choice.ts";
import { type LoraFile, type LoraLayer, readLoraFile } from "./lora_file.ts";
import type { LoraPart } from "./lora_keys.ts";

export interface AppliedLora {
  readonly file: LoraFile;
  readonly weight: number;
  /** SHA-256 of the whole file, hex. */
  readonly fileHash: string;
}

export interface MergedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** In the order of their hashes, which is the order of addition: the order of flags changes no bit. */
  readonly applied: readonly AppliedLora[];
}

/**
 * Opens LoRAs for a checkpoint. One of weight 0 is checked like the others, and then left out: it changes nothing.
 *
 * @throws {FormatError} if a file is damaged, of another kind or family, or does not fit: with the keys that do not
 * @throws {UsageError} if one file comes twice
 */
export async function mergeLoras(
  checkpoint: Checkpoint,
  choices: readonly LoraChoice[],
): Promise<MergedCheckpoint> {
  const opened = await Promise.all(choices.map(openLora));
  const sorted = opened.sort((a, b) => a.fileHash < b.fileHash ? -1 : 1);
  const twin = sorted.find(({ fileHash }, i) => fileHash === sorted[i - 1]?.fileHash);
  if (twin) {
    throw new UsageError(
      `LoRA ${show(twin.file.path)} must be given once: give the sum of its weights`,
    );
  }
  const fitted = sorted.map(({ file }) => fitLayers(file, checkpoint));
  let merged = checkpoint;
  for (const [i, { file, weight }] of sorted.entries()) {
    if (weight === 0) continue;
    for (const part of ["unet", "text", "text2"] as const) {
      merged = withUpdates(merged, part, (key) => {
        const layer = fitted[i]!.get(part)!.get(key);
        return layer && { ...layer, scale: scaleOf(file, layer, weight) };
      });
    }
  }
  return { checkpoint: merged, applied: sorted.filter(({ weight }) => weight !== 0) };
}

async function openLora({ path, weight }: LoraChoice): Promise<AppliedLora> {
  return { file: await readLoraFile(path), weight, fileHash: await fileHash(path) };
}
