/**
 * Which tokenizer an ensemble uses where nobody named one. A single-file checkpoint carries none, but nearly
 * all Stable Diffusion models share CLIP's, and most people who have such a model have it somewhere.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { modelFolder } from "../checkpoint/model_folder.ts";
import { FormatError } from "../errors.ts";
import { hubFolder, type ReadEnv, snapshotsOf } from "./hugging_face_cache.ts";

export interface FoundTokenizer {
  /** A folder to give to `ClipTokenizer.load()`. */
  readonly path: string;
  /** That of SDXL's second text encoder, where one stands beside the first. */
  readonly path2?: string;
}

export interface TokenizerSearch {
  /** What the user named by flag or in the ensemble file: taken as it is. */
  readonly named?: string;
  /** Models on this machine, folders or single files, in the experts' order. */
  readonly models: readonly string[];
  /** @default the process's environment */
  readonly env?: ReadEnv;
}

/** Repositories that hold CLIP's vocabulary, and where in them. */
const CACHED: readonly (readonly [repository: string, folder: string])[] = [
  ["openai/clip-vit-large-patch14", "."],
  ["stable-diffusion-v1-5/stable-diffusion-v1-5", "tokenizer"],
  ["runwayml/stable-diffusion-v1-5", "tokenizer"],
  ["stabilityai/stable-diffusion-xl-base-1.0", "tokenizer"],
];
const PAIR = ["vocab.json", "merges.txt"] as const;
const SOURCE = "https://huggingface.co/openai/clip-vit-large-patch14";

/**
 * Looks in this order: what was named; beside each model; the user's Hugging Face cache.
 *
 * @throws {FormatError} if none is found: says which places were looked at, and where the files can be had
 */
export async function findTokenizer(
  { named, models, env = (name) => Deno.env.get(name) }: TokenizerSearch,
): Promise<FoundTokenizer> {
  if (named !== undefined) return await withSecond(named);
  const places: string[] = [];
  for (const model of models) {
    const isModelFolder = await isFolder(model);
    const folder = isModelFolder ? await modelFolder(model) : dirname(model);
    for (const place of isModelFolder ? [join(folder, "tokenizer")] : besideFile(folder)) {
      if (places.includes(place)) continue;
      if (await isTokenizer(place, place !== folder)) return await withSecond(place);
      places.push(place);
    }
  }
  const hub = hubFolder(env);
  if (hub !== undefined) {
    for (const [repository, part] of CACHED) {
      for (const snapshot of await snapshotsOf(hub, repository)) {
        const place = join(snapshot, part);
        if (await isTokenizer(place, true)) return await withSecond(place);
      }
    }
    places.push(`${hub} (${CACHED.map(([repository]) => repository).join(", ")})`);
  }
  throw new FormatError(
    "No tokenizer was found: name a folder that holds vocab.json and merges.txt, with --tokenizer or as " +
      `"tokenizer" in the ensemble file; the two files are at ${SOURCE}. ` +
      `Looked in ${places.length > 0 ? places.join("; ") : "no place: none is known"}`,
  );
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
