/** Every text below a folder, to look for what must not be there. @module */

import { readFile } from "node:fs/promises";

export async function textsBelow(folder: string): Promise<string> {
  const entries = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
  const texts = entries.map(({ name, isDirectory }) =>
    isDirectory ? textsBelow(`${folder}/${name}`) : readFile(`${folder}/${name}`, "latin1")
  );
  return (await Promise.all(texts)).join("\n");
}
