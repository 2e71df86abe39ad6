/**
 * Where Hugging Face's own tools have put a repository on this machine. Only files that are there already:
 * nothing is downloaded. Layout and variables are huggingface_hub's ("Understand caching" in its documentation).
 *
 * @module
 */

import { join } from "node:path";
import { readRegularText } from "../regular_file.ts";

/** Environment variables, by name. */
export type ReadEnv = (name: string) => string | undefined;

/**
 * The folder that holds `models--OWNER--NAME`, as huggingface_hub finds it.
 *
 * @returns `undefined` where the environment does not even name a home
 */
export function hubFolder(env: ReadEnv): string | undefined {
  const hub = env("HF_HUB_CACHE") || env("HUGGINGFACE_HUB_CACHE");
  if (hub) return hub;
  if (env("HF_HOME")) return join(env("HF_HOME")!, "hub");
  const home = env("HOME") || env("USERPROFILE");
  const cache = env("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  return cache ? join(cache, "huggingface", "hub") : undefined;
}

/**
 * The snapshots of a repository, that of its main branch first. A snapshot may hold any part of the repository.
 *
 * @param repository `owner/name`
 * @returns absolute paths if `hub` is one; none if the repository is not there
 */
export async function snapshotsOf(hub: string, repository: string): Promise<string[]> {
  const folder = join(hub, `models--${repository.replaceAll("/", "--")}`);
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(join(folder, "snapshots"))) names.push(name);
  } catch {
    return []; // Not there, or not for us to read: others may be.
  }
  const main = await readRegularText(join(folder, "refs", "main")).catch(() => "");
  const isMain = (name: string) => Number(name === main.trim());
  names.sort((a, b) => isMain(b) - isMain(a) || (a < b ? -1 : 1));
  return names.map((name) => join(folder, "snapshots", name));
}
