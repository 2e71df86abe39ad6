/** What a repository of the Hugging Face hub holds, and which of its files a model needs. @module */

import { TuttiError } from "../errors.ts";
import { parseJson } from "../json_text.ts";
import { show } from "../show.ts";
import { ask } from "./ask.ts";
import { isSafePath, type ModelName } from "./model_name.ts";
import { hubEndpoint, type TokenFor } from "./tokens.ts";
import type { ReadEnv } from "./hugging_face_cache.ts";

export type HubName = Extract<ModelName, { readonly kind: "hub" }>;

export interface HubAccess {
  readonly env: ReadEnv;
  readonly tokenFor: TokenFor;
  readonly signal?: AbortSignal;
}

/** A file as the hub describes it. */
export interface HubFile {
  readonly url: string;
  /** Of the revision that was asked for. */
  readonly commit: string;
  /** Name of its blob: SHA-256 of a large file, git's hash of a small one; hex. */
  readonly hash: string;
  readonly bytes?: number;
}

/** Folders of a diffusers model that Tutti reads. */
const PARTS = [
  "unet",
  "text_encoder",
  "text_encoder_2",
  "tokenizer",
  "tokenizer_2",
  "vae",
  "scheduler",
];
const TEXT_FILE = /\.(json|txt)$/;
/** As diffusers names them; sharded ones have an index beside them. */
const WEIGHTS = /^(model|diffusion_pytorch_model)(\.fp16)?(-\d{5}-of-\d{5})?\.safetensors$/;
const HASH = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const COMMIT = /^[0-9a-f]{40}$/;
const MAX_LISTING_BYTES = 64 * 1024 * 1024;

/** @throws {TuttiError} as `ask()`, and NOT_FOUND if the repository has no model that Tutti reads */
export async function hubFiles(name: HubName, access: HubAccess): Promise<string[]> {
  if (name.file !== undefined) return [name.file];
  const { repository, revision } = name;
  const url = `${hubEndpoint(access.env)}/api/models/${repository}/revision/${revision}`;
  const response = await ask({ url, ...access });
  const text = await response.text();
  if (text.length > MAX_LISTING_BYTES) {
    throw new TuttiError("RESOURCE_EXHAUSTED", `The list of files of "${repository}" is too long`);
  }
  const siblings = siblingsIn(text, repository);
  const files = siblings.map(({ rfilename }) => String(rfilename)).filter(isSafePath);
  const wanted = files.includes("model_index.json") ? folderFiles(files) : [];
  if (wanted.some((file) => file.startsWith("unet/"))) return wanted;
  const weights = files.filter((file) => /^[^/]+\.safetensors$/.test(file));
  if (weights.length === 1) return weights;
  throw new TuttiError(
    "NOT_FOUND",
    `Repository "${repository}" has no folder of a diffusers model and not one single file: name one of its files` +
      `, as hf:${repository}/FILE; it has ${weights.slice(0, 12).join(", ") || "no weights"}`,
  );
}

function siblingsIn(text: string, repository: string): { rfilename?: unknown }[] {
  try {
    const { siblings } = parseJson(text) as { siblings?: unknown };
    if (Array.isArray(siblings)) return siblings;
  } catch {
    // Told below.
  }
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `The hub must list the files of "${repository}" as JSON: current answer begins with ${
      show(text.slice(0, 40))
    }`,
  );
}

/** Configs, tokenizers and one file of weights for each part: the plain one where it is there, else that in f16. */
function folderFiles(files: readonly string[]): string[] {
  return files.filter((path) => {
    if (path === "model_index.json") return true;
    const [folder = "", name = "", ...deeper] = path.split("/");
    if (!PARTS.includes(folder) || deeper.length > 0) return false;
    if (TEXT_FILE.test(name)) return !name.includes("flax");
    const [, , variant] = WEIGHTS.exec(name) ?? [];
    if (!WEIGHTS.test(name)) return false;
    const isPlain = (other: string) => {
      const [otherFolder, otherName = ""] = other.split("/");
      return otherFolder === folder && WEIGHTS.test(otherName) && !otherName.includes(".fp16");
    };
    return variant === undefined || !files.some(isPlain);
  });
}

/** @throws {TuttiError} as `ask()`, and FAILED_PRECONDITION if the hub says nothing by which the file can be checked */
export async function describeFile(
  { repository, revision }: HubName,
  file: string,
  access: HubAccess,
): Promise<HubFile> {
  const path = file.split("/").map(encodeURIComponent).join("/");
  const url = `${hubEndpoint(access.env)}/${repository}/resolve/${revision}/${path}`;
  const { headers, body } = await ask({
    ...{ url, method: "HEAD", stopsAtOthers: true, ...access },
    headers: { "accept-encoding": "identity" },
  });
  await body?.cancel();
  const hash = plainEtag(headers.get("x-linked-etag") ?? headers.get("etag"));
  const commit = headers.get("x-repo-commit") ?? "";
  if (!HASH.test(hash) || !COMMIT.test(commit)) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `${new URL(url).host} must tell the commit and the hash of ${file}: ` +
        `it says "${commit}" and "${hash}", so it is not a Hugging Face hub`,
    );
  }
  const size = headers.get("x-linked-size") ?? headers.get("content-length");
  return { url, commit, hash, ...(size !== null && { bytes: Number(size) }) };
}

/** Without quotes and the mark of a weak one. */
function plainEtag(etag: string | null): string {
  return (etag ?? "").replace(/^W\//, "").replaceAll('"', "");
}
