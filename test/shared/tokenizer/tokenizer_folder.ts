/**
 * A tokenizer of a dozen tokens, written to a temporary folder for tests of folders that are odd or
 * broken. It knows the words "ab" and "a!", and every letter and mark of them.
 *
 * @module
 */

import { join } from "node:path";

const BOS = "<|startoftext|>", EOS = "<|endoftext|>";

const TOKENS = ["!", "a", "b", "!</w>", "a</w>", "b</w>", "ab</w>", BOS, EOS];

export const VOCAB = Object.fromEntries(TOKENS.map((token, id) => [token, id]));
export const MERGES = "#version: 0.2\na b</w>\n";
export const BOS_ID = 7, EOS_ID = 8;

/** File name to content; a value that is no string is written as JSON, `undefined` leaves it out. */
export type FolderFiles = Readonly<Record<string, unknown>>;

/** The folder with `vocab.json` and `merges.txt`, each replaced by `files` where named there. */
export async function tokenizerFolder(
  files: FolderFiles = {},
): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "tutti-test-" });
  for (
    const [name, content] of Object.entries({ "vocab.json": VOCAB, "merges.txt": MERGES, ...files })
  ) {
    if (content === undefined) continue;
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await Deno.writeTextFile(join(path, name), text);
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
