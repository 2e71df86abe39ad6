/**
 * From LoRA files to what they change in one checkpoint: per weight, the products to add to it. Every layer of every
 * file must find its weight, or the file is refused: a LoRA that is applied in part draws something that no one made.
 *
 * @module
 */

import { FormatError, UsageError } from "../../errors.ts";
import type { LowRankUpdate, LowRankUpdates } from "../../models/low_rank.ts";
import { listKeys, type WeightLocation } from "../../models/weights.ts";
import { show } from "../../show.ts";
import { elementCount } from "../../tensor/tensor.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { unetKeyMap } from "../keymaps/unet.ts";
import { fileHash } from "../model_hash.ts";
import type { LoraChoice } from "./lora_choice.ts";
import { checkLoraFamily, type NamedLayer } from "./lora_family.ts";
import { type LoraFile, type LoraLayer, readLoraFile } from "./lora_file.ts";
import { layerKeys, loraLayerName, type LoraPart } from "./lora_keys.ts";

/** What LoRAs do to a checkpoint, part by part. */
export interface CheckpointUpdates {
  readonly parts: Readonly<Record<LoraPart, LowRankUpdates>>;
  /** The files in the order of their hashes, which is the order of addition: the order of flags changes no bit. */
  readonly applied: readonly AppliedLora[];
}

export interface AppliedLora {
  readonly file: LoraFile;
  readonly weight: number;
  /** SHA-256 of the whole file, hex. */
  readonly fileHash: string;
}

const PART_NAMES: Readonly<Record<LoraPart, string>> = {
  unet: "U-Net",
  text: "text encoder",
  text2: "second text encoder",
};

/**
 * Opens LoRAs for a checkpoint. One of weight 0 is checked like the others, and then left out: it changes nothing.
 *
 * @throws {FormatError} if a file is damaged, of another kind or family, or does not fit: with the keys that do not
 * @throws {UsageError} if one file comes twice
 */
export async function openLoras(
  choices: readonly LoraChoice[],
  checkpoint: Checkpoint,
): Promise<CheckpointUpdates> {
  const opened = await Promise.all(choices.map(async ({ path, weight }) => ({
    file: await readLoraFile(path),
    weight,
    fileHash: await fileHash(path),
  })));
  const sorted = opened.sort((a, b) => a.fileHash < b.fileHash ? -1 : 1);
  const twin = sorted.find(({ fileHash }, i) => fileHash === sorted[i - 1]?.fileHash);
  if (twin) {
    throw new UsageError(
      `LoRA ${show(twin.file.path)} must be given once: give the sum of its weights`,
    );
  }
  const parts = { unet: new Map(), text: new Map(), text2: new Map() } as Record<
    LoraPart,
    Map<string, LowRankUpdate[]>
  >;
  for (const { file, weight } of sorted) {
    for (const { part, key, layer } of fitLayers(file, checkpoint)) {
      if (weight === 0) continue;
      const updates = parts[part].get(key) ?? [];
      const scale = weight * layer.alpha / layer.rank;
      if (!Number.isFinite(Math.fround(scale))) {
        throw new FormatError(
          `LoRA ${show(file.path)}: the strength of ${show(layer.path)} must be a finite number: ` +
            `current value is ${scale} (weight ${weight}, alpha ${layer.alpha}, rank ${layer.rank})`,
        );
      }
      updates.push({ up: layer.up, down: layer.down, scale });
      parts[part].set(key, updates);
    }
  }
  return { parts, applied: sorted.filter(({ weight }) => weight !== 0) };
}

interface FittedLayer {
  readonly part: LoraPart;
  /** Diffusers key of the weight. */
  readonly key: string;
  readonly layer: LoraLayer;
}

/** @throws {FormatError} listing the layers that have no weight here, or one of another shape */
function fitLayers(file: LoraFile, checkpoint: Checkpoint): FittedLayer[] {
  const ldmToDiffusers = unetKeyMap(checkpoint.unet.config.layersPerBlock);
  const named = file.layers.map((layer): NamedLayer => [
    loraLayerName(layer.path, ldmToDiffusers),
    layer,
  ]);
  const { name, family, unet: { config: { crossAttentionDim } } } = checkpoint;
  checkLoraFamily(file, named, { name, family, crossAttentionDim });

  const keys = {
    unet: layerKeys(checkpoint.unet.weights),
    text: layerKeys(checkpoint.text?.weights ?? new Map()),
    text2: layerKeys(checkpoint.text2?.weights ?? new Map()),
  };
  const fitted = new Map<string, FittedLayer>();
  const [unknown, misshaped, doubled]: [string[], string[], string[]] = [[], [], []];
  for (const [{ part, name: layerName }, layer] of named) {
    const key = keys[part].get(layerName);
    if (key === undefined) {
      unknown.push(
        checkpoint[part] ? layer.path : `${layer.path}: the model has no ${PART_NAMES[part]}`,
      );
      continue;
    }
    const weight = checkpoint[part]!.weights.get(key)!;
    if (!fits(layer, weight)) {
      misshaped.push(
        `${layer.path}: [${layer.up.shape}] times [${layer.down.shape}] for ${key} [${weight.shape}]`,
      );
    }
    const twin = fitted.get(`${part}.${key}`);
    if (twin) doubled.push(`${twin.layer.path} and ${layer.path}`);
    fitted.set(`${part}.${key}`, { part, key, layer });
  }
  const problems = [
    listKeys("unknown", unknown),
    listKeys("mis-shaped", misshaped),
    listKeys("given twice", doubled),
  ].filter((line) => line !== "");
  if (problems.length > 0) {
    throw new FormatError(
      `LoRA ${show(file.path)} does not fit "${name}": ${problems.join("; ")}`,
      {
        details: {
          unknown: String(unknown.length),
          misshaped: String(misshaped.length),
          doubled: String(doubled.length),
        },
      },
    );
  }
  return [...fitted.values()];
}

/** Whether `up down` has the weight's shape; a 1x1 convolution and a matrix count as equal. */
function fits({ up, down, rank }: LoraLayer, { shape }: WeightLocation): boolean {
  const [outFeatures, ...inFeatures] = shape;
  const trim = (dims: readonly number[]) => dims.join().replace(/(,1,1)$/, "");
  return trim(up.shape) === trim([outFeatures!, rank]) &&
    trim(down.shape.slice(1)) === trim(inFeatures) &&
    elementCount(down.shape) === rank * elementCount(inFeatures);
}
