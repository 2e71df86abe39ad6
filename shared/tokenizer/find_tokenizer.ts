/**
 * Which tokenizer an ensemble uses where nobody named one. A single-file checkpoint carries none: it was trained with
 * CLIP's own, as nearly all Stable Diffusion models were, and that one comes with Tutti. So copies of it elsewhere on the
 * machine (other tools' folders, caches) need no search.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { modelFolder } from "../checkpoint/model_folder.ts";

export interface FoundTokenizer {
  /** What to give to `ClipTokenizer.load()`: a folder, or nothing for CLIP's own. */
  readonly path?: string;
  /** That of SDXL's second text encoder, where one stands beside the first. */
  readonly path2?: string;
}

export interface TokenizerSearch {
  /** What the user named by flag or in the ensemble file: taken as it is. */
  readonly named?: string;
  /** Models on this machine, folders or single files, in the experts' order. */
  readonly models: readonly string[];
}

const PAIR = ["vocab.json", "merges.txt"] as const;

/**
 * Looks in this order: what was named; beside each model; CLIP's own.
 *
 * @throws {FormatError} if a model is a repository in Hugging Face's cache that holds no model
 */
export async function findTokenizer({ named, models }: TokenizerSearch): Promise<FoundTokenizer> {
  if (named !== undefined) return await withSecond(named);
  for (const model of models) {
    const isModelFolder = await isFolder(model);
    const folder = isModelFolder ? await modelFolder(model) : dirname(model);
    for (const place of isModelFolder ? [join(folder, "tokenizer")] : besideFile(folder)) {
      if (await isTokenizer(place, place !== folder)) return await withSecond(place);
    }
  }
  return {};
}

function besideFile(folder: string): string[] {
  return [join(folder, "tokenizer"), folder];
}

/**
 * @param isOwn whether the folder is a tokenizer's own: a `tokenizer.json` beside a checkpoint may be any model's,
 * so there only the pair counts
 */
async function isTokenizer(folder: string, isOwn: boolean): Promise<boolean> {
  const pair = await Promise.all(PAIR.map((name) => isFile(join(folder, name))));
  return pair.every(Boolean) || (isOwn && await isFile(join(folder, "tokenizer.json")));
}

async function withSecond(path: string): Promise<FoundTokenizer> {
  if (basename(path) !== "tokenizer") return { path };
  const path2 = join(dirname(path), "tokenizer_2");
  return await isTokenizer(path2, true) ? { path, path2 } : { path };
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isDirectory, () => false);
}
