/** Files that appear whole or not at all. @module */

import { rename, rm, writeFile } from "node:fs/promises";

/**
 * Writes beside the file first: a full disk or an interrupted run leaves neither a half nor an empty file under the name that
 * the user asked for, and what was there stays.
 */
export async function writeWholeFile(path: string, data: string | Uint8Array): Promise<void> {
  const partial = `${path}.${crypto.randomUUID().slice(0, 8)}.partial`;
  try {
    await writeFile(partial, data);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}
