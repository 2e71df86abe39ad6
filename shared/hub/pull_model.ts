/** Gets a model by its name, one file at a time, into the place where it is looked for by that name. @module */

import { basename, dirname, join, relative } from "node:path";
import { exists } from "../checkpoint/exists.ts";
import { TuttiError } from "../errors.ts";
import { ask } from "./ask.ts";
import { addressFolder, cachedModel, repositoryFolder } from "./cached_model.ts";
import { type Download, download } from "./download.ts";
import { describeFile, type HubAccess, hubFiles, type HubName } from "./hub_repository.ts";
import { isSafePath, type ModelName } from "./model_name.ts";
import { readTokens } from "./tokens.ts";

export interface PullOptions extends Pick<HubAccess, "env" | "signal">, Pick<Download, "pause"> {
  /** Told of each file how much of it is here. */
  readonly onProgress?: (file: string, bytes: number, total: number | undefined) => void;
}

export interface PulledModel {
  /** By which it is opened. */
  readonly path: string;
  readonly files: readonly PulledFile[];
}

export interface PulledFile {
  readonly path: string;
  readonly bytes: number;
  /** Whether it was here before. */
  readonly wasHere: boolean;
}

type AddressName = Extract<ModelName, { readonly kind: "address" }>;

/**
 * @throws {TuttiError} UNAVAILABLE if the host cannot be reached or breaks off again and again, PERMISSION_DENIED, NOT_FOUND,
 * DATA_LOSS on a wrong hash; what came whole stays
 */
export async function pullModel(name: ModelName, options: PullOptions): Promise<PulledModel> {
  const access = { ...options, tokenFor: await readTokens(options.env) };
  const files = name.kind === "hub"
    ? await pullRepository(name, access)
    : [await pullAddress(name, access)];
  const path = await cachedModel(name, options.env);
  if (path === undefined) throw new TuttiError("INTERNAL", "What was pulled is not found");
  return { path, files };
}

async function pullRepository(
  name: HubName,
  access: HubAccess & PullOptions,
): Promise<PulledFile[]> {
  const folder = repositoryFolder(name.repository, access.env);
  const pulled: PulledFile[] = [];
  let revision = name.revision;
  for (const file of await hubFiles(name, access)) {
    // All of one commit, also where the branch moves on meanwhile.
    const described = await describeFile({ ...name, revision }, file, access);
    revision = described.commit;
    const blob = join(folder, "blobs", described.hash);
    const path = join(folder, "snapshots", described.commit, file);
    await Deno.mkdir(dirname(blob), { recursive: true });
    const wasHere = await exists(blob);
    if (!wasHere) await download({ ...described, path: blob, ...told(file, access) });
    await link(blob, path);
    pulled.push({ path, bytes: (await Deno.stat(blob)).size, wasHere });
  }
  if (revision !== name.revision) {
    const ref = join(folder, "refs", name.revision);
    await Deno.mkdir(dirname(ref), { recursive: true });
    await Deno.writeTextFile(ref, revision);
  }
  return pulled;
}

/** A link as Hugging Face's tools make it: relative, so that the cache can be moved. */
async function link(blob: string, path: string): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  if (await exists(path)) return;
  await Deno.symlink(relative(dirname(path), blob), path);
}

async function pullAddress(
  name: AddressName,
  access: HubAccess & PullOptions,
): Promise<PulledFile> {
  const here = await cachedModel(name, access.env);
  if (here !== undefined) {
    return { path: here, bytes: (await Deno.stat(here)).size, wasHere: true };
  }
  const { url, sha256: hash } = name;
  const { headers, body, url: last } = await ask({ url, ...access });
  await body?.cancel();
  const file = fileName(headers, last || url);
  const folder = addressFolder(url);
  await Deno.mkdir(folder, { recursive: true });
  const path = join(folder, file);
  const etag = headers.get("etag");
  await download({
    ...{ url, path, ...told(file, access) },
    ...(hash !== undefined && { hash }),
    // A weak one says nothing of bytes.
    ...(etag !== null && !etag.startsWith("W/") && { etag }),
  });
  return { path, bytes: (await Deno.stat(path)).size, wasHere: false };
}

function told(name: string, access: HubAccess & PullOptions) {
  const { tokenFor, pause, signal, onProgress } = access;
  return {
    ...{ name, tokenFor, pause },
    ...(signal && { signal }),
    onProgress: (bytes: number, total: number | undefined) => onProgress?.(name, bytes, total),
  };
}

/** What the host calls the file; else the end of its address. */
function fileName(headers: Headers, url: string): string {
  const disposition = headers.get("content-disposition") ?? "";
  const [, named = ""] = /filename="?([^";]+)"?/.exec(disposition) ?? [];
  const name = basename(named || new URL(url).pathname);
  return isSafePath(name) && !name.startsWith(".") ? name : "model.safetensors";
}
