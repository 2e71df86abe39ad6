/** Files that only their owner should be able to read. @module */

import { stat } from "node:fs/promises";

const OTHERS = 0o077;

/** Warns if others than the owner may read or write the file. Secrets mounted into containers often are so, and work. */
export async function checkPrivate(path: string, warn: (text: string) => void): Promise<void> {
  if (Deno.build.os === "windows") return;
  const { mode } = await stat(path);
  if ((mode & OTHERS) === 0) return;
  const shown = (mode & 0o777).toString(8);
  warn(`"${path}" holds a secret and has mode ${shown}: other users can get at it. chmod 600 it`);
}
