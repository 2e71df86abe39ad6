/** The folder in which a model's parts lie, for a folder that a user names. @module */

import { basename, dirname, join } from "node:path";
import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { snapshotsOf } from "../hub/hugging_face_cache.ts";
import { exists } from "./exists.ts";

const REPOSITORY = "models--";
const PARTS = ["unet", "vae", "transformer"];

/**
 * The path itself; for a repository in Hugging Face's cache (`models--OWNER--NAME`), its newest snapshot that has a part of
 * a model.
 *
 * @throws {FormatError} if the repository has no such snapshot
 */
export async function modelFolder(path: string): Promise<string> {
  const name = basename(path);
  if (!name.startsWith(REPOSITORY) || !await exists(join(path, "snapshots"))) return path;
  const snapshots = await snapshotsOf(dirname(path), name.slice(REPOSITORY.length));
  for (const snapshot of snapshots) {
    for (const part of PARTS) if (await exists(join(snapshot, part))) return snapshot;
  }
  const files = await Promise.all(snapshots.map((snapshot) => namesIn(snapshot)));
  throw new FormatError(
    `Repository ${
      show(path)
    } of the Hugging Face cache must have a snapshot with the folder "unet": ` +
      `name one of its files, or download the rest; snapshots hold ${
        files.flat().join(", ") || "nothing"
      }`,
  );
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) names.push(join(basename(folder), name));
  return names.sort();
}
