/**
 * Who may read what is not for everybody: tokens from the variables that the hubs' own tools read. Each goes to the host that
 * it is for, and to no other.
 *
 * @module
 */

import { join } from "node:path";
import { readRegularText } from "../regular_file.ts";
import type { ReadEnv } from "./hugging_face_cache.ts";
import { isTrusted } from "./model_name.ts";

const DEFAULT_ENDPOINT = "https://huggingface.co";
const CIVITAI_HOST = "civitai.com";

/** Where repositories are asked for, without a slash at its end. */
export function hubEndpoint(env: ReadEnv): string {
  return (env("HF_ENDPOINT") || DEFAULT_ENDPOINT).replace(/\/+$/, "");
}

/** The token for an address; undefined where there is none for its host. */
export type TokenFor = (url: URL) => string | undefined;

/** Reads the variables, and the file in which `hf auth login` keeps a token. */
export async function readTokens(env: ReadEnv): Promise<TokenFor> {
  const hub = env("HF_TOKEN") || env("HUGGING_FACE_HUB_TOKEN") || await storedToken(env);
  const civitai = env("CIVITAI_API_TOKEN") || env("CIVITAI_TOKEN");
  const { host: hubHost } = new URL(hubEndpoint(env));
  return (url) => {
    if (!isTrusted(url)) return undefined;
    if (url.host === hubHost) return hub || undefined;
    return url.host === CIVITAI_HOST ? civitai || undefined : undefined;
  };
}

/** What to set for a host that refuses. */
export function tokenAdvice({ host }: URL): string {
  return host === CIVITAI_HOST
    ? "Set CIVITAI_API_TOKEN to a key of your account there"
    : "Set HF_TOKEN to a token that may read it, and accept the model's conditions on its page";
}

async function storedToken(env: ReadEnv): Promise<string> {
  const home = env("HOME") || env("USERPROFILE");
  const cache = env("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  const folder = env("HF_HOME") || (cache && join(cache, "huggingface"));
  const path = env("HF_TOKEN_PATH") || (folder && join(folder, "token"));
  return path ? (await readRegularText(path).catch(() => "")).trim() : "";
}
