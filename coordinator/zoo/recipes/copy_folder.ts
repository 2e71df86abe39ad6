/** Copies of folders. @module */

import { join } from "node:path";

/** All files of a folder into another, which is made if it does not exist. */
export async function copyInto(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if (isDirectory) await copyInto(source, target);
    else await Deno.copyFile(source, target);
  }
}
