/** Where a network's weights and config are: a folder as hubs have it, or a file of weights with its config beside it. @module */

import { join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { FormatError } from "../../../shared/errors.ts";
import { isFolder } from "../../jobs/output_paths.ts";

export interface NetworkFiles {
  readonly weights: string;
  /** Absent for networks whose sizes follow from the weights. */
  readonly config?: string;
}

/** Names of weights in the order in which they are looked for, and of the config that belongs to each. */
export type FileNames = readonly (readonly [weights: string, config?: string])[];

export const CLIP_FILES: FileNames = [
  ["open_clip_model.safetensors", "open_clip_config.json"],
  ["open_clip_pytorch_model.bin", "open_clip_config.json"],
  ["model.safetensors", "config.json"],
  ["pytorch_model.bin", "config.json"],
];

export const TRANSFORMERS_FILES: FileNames = [
  ["model.safetensors", "config.json"],
  ["pytorch_model.bin", "config.json"],
];

export const IMAGE_REWARD_FILES: FileNames = [
  ["model.safetensors", "config.json"],
  ["ImageReward.pt", "config.json"],
];

/**
 * @param key of the suite that names the path, for errors
 * @throws {FormatError} if the folder has none of the names, or only half of a pair
 */
export async function findNetwork(
  key: string,
  path: string,
  names: FileNames,
): Promise<NetworkFiles> {
  if (!await isFolder(path)) {
    if (await exists(path)) return { weights: path };
    throw new FormatError(
      `"${key}" must be a file or folder that exists: current value is "${path}"`,
    );
  }
  for (const [weights, config] of names) {
    if (!await exists(join(path, weights))) continue;
    if (config === undefined) return { weights: join(path, weights) };
    if (await exists(join(path, config))) {
      return { weights: join(path, weights), config: join(path, config) };
    }
  }
  const wanted = names.map((pair) => pair.filter(Boolean).join(" with ")).join(", or ");
  throw new FormatError(`"${key}" must be a folder with ${wanted}: "${path}" has none of these`);
}

/** @throws {FormatError} if there is none */
export function configOf(key: string, { weights, config }: NetworkFiles): string {
  if (config !== undefined) return config;
  throw new FormatError(
    `"${key}" must be the folder that "${weights}" lies in, with its config: its sizes stand there`,
  );
}
