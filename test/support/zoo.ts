/**
 * The bundled experts as tests use them.
 *
 * @module
 */

import { dirname, join } from "node:path";
import { readFile } from "node:fs/promises";
import { decodePng, type PngImage } from "../../coordinator/image/png.ts";
import { BUNDLED_ENSEMBLE } from "../../shared/project_files.ts";

/** The picture that the bundled experts are known to draw (`shared/zoo/README.md`). */
export const PROMPT = "a green heart above a yellow square on a plain black background";

/** In the ensemble's order. */
export const ZOO_EXPERTS = ["round", "square", "pointed"] as const;

export function zooPath(...parts: readonly string[]): string {
  return join(dirname(BUNDLED_ENSEMBLE), ...parts);
}

export async function readPng(path: string): Promise<PngImage> {
  return decodePng(await readFile(path));
}
