/**
 * Where what `tutti pull` has got lies: repositories in Hugging Face's cache, so that its tools and Tutti share them, and
 * files from elsewhere in the state folder.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { exists } from "../checkpoint/exists.ts";
import { FormatError, TuttiError } from "../errors.ts";
import { readRegularText } from "../regular_file.ts";
import { stateFolder } from "../state_folder.ts";
import { hubFolder, type ReadEnv } from "./hugging_face_cache.ts";
import { isModelName, type ModelName, parseModelName } from "./model_name.ts";
import type { HubName } from "./hub_repository.ts";

const COMMIT = /^[0-9a-f]{40}$/;
const readEnv: ReadEnv = (name) => Deno.env.get(name);

/** @throws {TuttiError} FAILED_PRECONDITION if the environment does not name a home */
export function repositoryFolder(repository: string, env: ReadEnv): string {
  const hub = hubFolder(env);
  if (hub !== undefined) return join(hub, `models--${repository.replaceAll("/", "--")}`);
  throw new TuttiError(
    "FAILED_PRECONDITION",
    "HOME, HF_HOME or HF_HUB_CACHE must be set: models are kept there",
  );
}

/** The folder of a file from an address; keys and tokens in the address are not part of its name. */
export function addressFolder(url: string): string {
  const { origin, pathname } = new URL(url);
  const key = createHash("sha256").update(origin + pathname).digest("hex").slice(0, 16);
  return join(stateFolder(), "downloads", key);
}

/** The path of a model that is here, or undefined. */
export async function cachedModel(
  name: ModelName,
  env: ReadEnv = readEnv,
): Promise<string | undefined> {
  if (name.kind === "hub") return await cachedRepository(name, env);
  const folder = addressFolder(name.url);
  try {
    for await (const { name: file } of Deno.readDir(folder)) {
      if (!file.endsWith(".incomplete")) return join(folder, file);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

async function cachedRepository(
  { repository, revision, file }: HubName,
  env: ReadEnv,
): Promise<string | undefined> {
  const folder = repositoryFolder(repository, env);
  const commit = COMMIT.test(revision)
    ? revision
    : (await readRegularText(join(folder, "refs", revision)).catch(() => "")).trim();
  if (!COMMIT.test(commit)) return undefined;
  const snapshot = join(folder, "snapshots", commit);
  if (file !== undefined) return await existing(join(snapshot, file));
  if (await exists(join(snapshot, "unet", "config.json"))) return snapshot;
  return await singleFile(snapshot);
}

async function existing(path: string): Promise<string | undefined> {
  return await exists(path) ? path : undefined;
}

async function singleFile(snapshot: string): Promise<string | undefined> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(snapshot)) {
      if (name.endsWith(".safetensors")) names.push(name);
    }
  } catch {
    return undefined;
  }
  return names.length === 1 ? await existing(join(snapshot, names[0]!)) : undefined;
}

/**
 * The path of what a user calls by path or by name; nothing is downloaded.
 *
 * @throws {FormatError} if a name is not on this machine
 * @throws {UsageError} if it is malformed
 */
export async function localPath(text: string): Promise<string> {
  if (!isModelName(text)) return text;
  const path = await cachedModel(parseModelName(text));
  if (path !== undefined) return path;
  throw new FormatError(`Model "${text}" is not on this machine: get it with tutti pull ${text}`);
}
