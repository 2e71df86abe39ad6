/** A folder that lives as long as the test: `await using folder = await tempFolder()`. @module */

import { join } from "node:path";

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
  /** A path below it. */
  join(...parts: readonly string[]): string;
}

export async function tempFolder(): Promise<TempFolder> {
  // The real path: a system's temporary folder may itself be a link.
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "tutti-test-" }));
  return {
    path,
    join: (...parts) => join(path, ...parts),
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
