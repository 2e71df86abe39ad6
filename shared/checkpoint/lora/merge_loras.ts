/**
 * A checkpoint with LoRAs: the same tables of weights, where each weight that a LoRA changes also says what is to be
 * added. The sums are made when a graph is loaded (`shared/models/low_rank.ts`); nothing is written.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { FormatError, UsageError } from "../../errors.ts";
import type { WeightUpdate } from "../../models/low_rank.ts";
import type { WeightTable } from "../../models/weights.ts";
import { show } from "../../show.ts";
import type { Checkpoint, Part } from "../checkpoint.ts";
import { fileHash, hashFrom } from "../model_hash.ts";
import { fitLayers, type FittedLayers } from "./fit_layers.ts";
import type { LoraChoice } from "./lora_choice.ts";
import { type LoraFile, readLoraFile } from "./lora_file.ts";
import { type LoraLayer, magnitudeAxis } from "./lora_layer.ts";
import { TRANSPOSED_KEY } from "./lora_keys.ts";

export interface AppliedLora {
  readonly file: LoraFile;
  readonly weight: number;
  /** SHA-256 of the file, hex. */
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
 * @throws {FormatError} if a file is damaged, of another kind or family, or has layers that do not fit
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
  const fitted = sorted.map((lora) => ({ ...lora, layers: fitLayers(lora.file, checkpoint) }));
  const applied = fitted.filter(({ weight }) => weight !== 0);
  const merge = <P extends Part<unknown>>(part: P, name: keyof FittedLayers): P => ({
    ...part,
    weights: applied.reduce(
      (table, lora) => withUpdates(table, lora, lora.layers[name]),
      part.weights,
    ),
  });
  const { unet, text, text2 } = checkpoint;
  return {
    checkpoint: {
      ...checkpoint,
      unet: merge(unet, "unet"),
      ...(text && { text: merge(text, "text") }),
      ...(text2 && { text2: merge(text2, "text2") }),
    },
    applied,
  };
}

/** A LoRA in a model's description. */
export interface LoraDescription {
  /** The file's name without its ending. */
  readonly name: string;
  /** SHA-256 of the tensors' bytes, hex: what infotexts show the first twelve digits of. */
  readonly hash: string;
  readonly weight: number;
}

export async function describeLora(
  { path, name, dataStart }: LoraFile,
  weight: number,
): Promise<LoraDescription> {
  return { name, hash: await hashFrom(path, dataStart), weight };
}

/**
 * Who a model with LoRAs is: another one than without, and another one for every set of files and weights.
 *
 * @param base hash of the model without LoRAs
 */
export function mergedModelHash(base: string, applied: readonly AppliedLora[]): string {
  if (applied.length === 0) return base;
  const lines = applied.map(({ fileHash, weight }) => `${fileHash} ${weight}`);
  return createHash("sha256").update([base, ...lines].join("\n")).digest("hex");
}

async function openLora({ path, weight }: LoraChoice): Promise<AppliedLora> {
  return { file: await readLoraFile(path), weight, fileHash: await fileHash(path) };
}

function withUpdates(
  table: WeightTable,
  { file, weight }: AppliedLora,
  layers: ReadonlyMap<string, LoraLayer>,
): WeightTable {
  const merged = new Map(table);
  for (const [key, layer] of layers) {
    const location = merged.get(key)!;
    const updates = [...location.updates ?? [], updateOf(file, layer, weight, key)];
    merged.set(key, { ...location, updates });
  }
  return merged;
}

function updateOf(file: LoraFile, layer: LoraLayer, weight: number, key: string): WeightUpdate {
  const { change, alpha, rank, path, magnitude } = layer;
  // With magnitudes the weight is how far to go to the changed form, which is that of strength 1.
  const scale = (magnitude ? 1 : weight) * alpha / rank;
  if (!Number.isFinite(Math.fround(scale))) {
    throw new FormatError(
      `LoRA ${show(file.path)}: the strength of ${show(path)} must be a number that f32 holds: ` +
        `current value is ${scale} (weight ${weight}, alpha ${alpha}, rank ${rank})`,
    );
  }
  const isTransposed = key === TRANSPOSED_KEY;
  if (change.kind === "product" && !magnitude) return { ...change.product, scale, isTransposed };
  return {
    ...{ change, scale, isTransposed },
    ...(magnitude && {
      magnitude: { lengths: magnitude, axis: magnitudeAxis(magnitude.shape), strength: weight },
    }),
  };
}
