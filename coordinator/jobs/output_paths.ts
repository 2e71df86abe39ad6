/** Where images go. @module */

import { dirname, extname, join, parse } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { FormatError } from "../../shared/errors.ts";

/**
 * One path per seed. A name that ends in `.png` is the file itself (replaced if it is there; with several images
 * numbered); anything else is a folder, in which nothing is ever replaced.
 */
export async function outputPaths(out: string, seeds: readonly bigint[]): Promise<string[]> {
  if (isImage(out)) {
    if (seeds.length === 1) return [out];
    const { dir, name, ext } = parse(out);
    return seeds.map((_, i) => join(dir, `${name}-${i + 1}${ext}`));
  }
  return await Promise.all(seeds.map((seed) => freePath(out, `tutti-${seed}`)));
}

/**
 * Makes the folder of `--out` and tries to write there: what is wrong with it should not be told after all steps.
 *
 * @param kind whether the name may be that of an image
 * @throws {FormatError} naming `--out` and the reason
 */
export async function checkOut(out: string, kind: "folder" | "image or folder"): Promise<void> {
  const isFile = kind === "image or folder" && isImage(out);
  const folder = isFile ? dirname(out) : out;
  const probe = join(folder, `.tutti-${crypto.randomUUID()}`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    if (isFile && await isFolder(out)) throw new Error(`"${out}" is a folder`);
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
  } catch (cause) {
    throw new FormatError(
      `Cannot write to --out "${out}": ${(cause as Error).message}. Choose another --out`,
      { cause, details: { file: out } },
    );
  }
}

function isImage(out: string): boolean {
  return extname(out).toLowerCase() === ".png";
}

export async function isFolder(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
}

async function freePath(folder: string, name: string): Promise<string> {
  for (let copy = 1;; copy++) {
    const path = join(folder, copy === 1 ? `${name}.png` : `${name}-${copy}.png`);
    if (!await exists(path)) return path;
  }
}
