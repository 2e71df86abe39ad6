/**
 * The test files of the whole suite in batches, for several processes of `deno test` at a time: most tests wait for processes,
 * timers and sockets as much as they compute, so one after the other leaves cores idle.
 *
 * @module
 */

import { join } from "node:path";

/** What starts a new process costs about a second: files that take less share one. */
const FILES_PER_BATCH = 10;
/** Folders whose files start clusters of processes or a browser, or train: each takes long enough to go alone, and first. */
const SLOW = ["test/bench/", "test/clients/", "test/cluster/", "test/coordinator/zoo/recipes/"];

/** Paths below `root` of all files that `deno test` would run. */
export async function findTestFiles(root: string, folder = "test"): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (name === "node_modules") continue;
    if (isDirectory) files.push(...await findTestFiles(root, path));
    else if (name.endsWith("_test.ts")) files.push(path);
  }
  return files;
}

/** Every file once; in the order in which they should begin. */
export function batches(files: readonly string[]): string[][] {
  const sorted = files.toSorted();
  const isSlow = (file: string) => SLOW.some((folder) => file.startsWith(folder));
  const quick = sorted.filter((file) => !isSlow(file));
  const count = Math.ceil(quick.length / FILES_PER_BATCH);
  return [
    ...sorted.filter(isSlow).map((file) => [file]),
    ...Array.from(
      { length: count },
      (_, i) => quick.slice(i * FILES_PER_BATCH, (i + 1) * FILES_PER_BATCH),
    ),
  ];
}
