/** Where images go. @module */

import { dirname, join, parse } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { loadSharp } from "../image/load_sharp.ts";
import { isOtherKind, pictureKind, WRITTEN_KINDS } from "../image/picture_kind.ts";

/** Where among all pictures of a command these stand. */
export interface Place {
  readonly before: number;
  readonly total: number;
}

/**
 * One path per name. An `--out` that ends as a picture's name does is the file itself (replaced if it is there; of several images
 * numbered); anything else is a folder, in which nothing is ever replaced.
 */
export async function outputPaths(
  out: string,
  names: readonly string[],
  { before, total }: Place = { before: 0, total: names.length },
): Promise<string[]> {
  if (pictureKind(out)) {
    if (total === 1) return [out];
    const { dir, name, ext } = parse(out);
    return names.map((_, i) => join(dir, `${name}-${before + i + 1}${ext}`));
  }
  return await Promise.all(names.map((name) => freePath(out, name)));
}

/** Of the file with which a folder is tried: a full disk takes an empty one. */
const PROBE_BYTES = 65_536;

/** Characters of a prompt that a file's name has. */
const PROMPT_CHARS = 40;

/**
 * Names of pictures, without `.png`: by seed, and where a command draws several prompts, by the prompt's number and first words, as
 * in `03-a-castle-at-dawn-7`.
 */
export function imageNames(
  seeds: readonly bigint[],
  among?: { readonly prompt: string; readonly index: number; readonly count: number },
): string[] {
  if (!among) return seeds.map((seed) => `tutti-${seed}`);
  const number = String(among.index + 1).padStart(String(among.count).length, "0");
  const words = among.prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const fitting = words.filter((_, i) => words.slice(0, i + 1).join("-").length <= PROMPT_CHARS);
  return seeds.map((seed) => [number, ...fitting, seed].join("-"));
}

/**
 * Makes the folder of `--out` and tries to write there: what is wrong with it should not be told after all steps.
 *
 * @param kind whether the name may be that of an image
 * @throws {UsageError} if the name is that of a picture of a kind that is not written
 * @throws {FormatError} naming `--out` and the reason
 */
export async function checkOut(out: string, kind: "folder" | "image or folder"): Promise<void> {
  if (out.includes("\uFFFD")) {
    throw new FormatError(
      `--out must be UTF-8: "${out}" has bytes that are none, and would be written to another place. Rename the folder`,
      { details: { file: out } },
    );
  }
  const picture = kind === "image or folder" ? pictureKind(out) : undefined;
  if (kind === "image or folder" && isOtherKind(out) && !await isFolder(out)) {
    throw new UsageError(
      `--out must be a folder or end in ${WRITTEN_KINDS}: current value is "${out}"`,
    );
  }
  const isFile = picture !== undefined;
  const folder = isFile ? dirname(out) : out;
  const probe = join(folder, `.tutti-${crypto.randomUUID()}`);
  try {
    await Deno.mkdir(folder, { recursive: true });
    if (isFile && picture !== "png") await loadSharp();
    if (isFile && await isFolder(out)) throw new Error(`"${out}" is a folder`);
    await Deno.writeFile(probe, new Uint8Array(PROBE_BYTES));
    await Deno.remove(probe);
  } catch (cause) {
    await Deno.remove(probe).catch(() => {});
    throw new FormatError(
      `Cannot write to --out "${out}": ${(cause as Error).message}. Choose another --out`,
      { cause, details: { file: out } },
    );
  }
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
