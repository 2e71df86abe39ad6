/** Where images go. @module */

import { extname, join, parse } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";

/**
 * One path per seed. A name that ends in `.png` is the file itself (replaced if it is there; with several images
 * numbered); anything else is a folder, in which nothing is ever replaced.
 */
export async function outputPaths(out: string, seeds: readonly bigint[]): Promise<string[]> {
  if (extname(out).toLowerCase() === ".png") {
    if (seeds.length === 1) return [out];
    const { dir, name, ext } = parse(out);
    return seeds.map((_, i) => join(dir, `${name}-${i + 1}${ext}`));
  }
  return await Promise.all(seeds.map((seed) => freePath(out, `tutti-${seed}`)));
}

async function freePath(folder: string, name: string): Promise<string> {
  for (let copy = 1;; copy++) {
    const path = join(folder, copy === 1 ? `${name}.png` : `${name}-${copy}.png`);
    if (!await exists(path)) return path;
  }
}
