/**
 * Proves the direction of imports and refuses file names that say nothing; prints each offending
 * line. Part of `deno task check`.
 *
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize, resolve } from "node:path";
import { findImports, importViolation, pathViolation } from "./import_rules.ts";

/** Not sources: data; nor are dependencies, and what starts with a dot. */
const SKIPPED = ["test/goldens", "shared/zoo"];

/** Every TypeScript file below `folder`, relative to `root`, with `/` between the parts. */
async function* sourceFiles(root: string, folder = ""): AsyncGenerator<string> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    if (SKIPPED.includes(path)) continue;
    if (entry.isDirectory()) yield* sourceFiles(root, path);
    else if (/\.[cm]?[jt]sx?$/.test(entry.name)) yield path;
  }
}

/** One line for each rule that a file below `root` breaks, and the number of files read. */
export async function checkImports(
  root: string,
): Promise<{ problems: string[]; fileCount: number }> {
  const problems: string[] = [];
  let fileCount = 0;
  for await (const path of sourceFiles(root)) {
    fileCount++;
    const misplaced = pathViolation(path);
    if (misplaced !== undefined) problems.push(`${path}: ${misplaced}`);
    for (const { specifier, line } of findImports(await readFile(join(root, path), "utf8"))) {
      if (!specifier.startsWith(".")) continue;
      const target = normalize(join(dirname(path), specifier)).replaceAll("\\", "/");
      const reason = importViolation(path, target);
      if (reason !== undefined) problems.push(`${path}:${line}: ${reason} ("${specifier}")`);
    }
  }
  return { problems, fileCount };
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname!, "../..");
  const { problems, fileCount } = await checkImports(root);
  const output = problems.length > 0
    ? `${problems.join("\n")}\nImports: ${problems.length} of the rules broken\n`
    : `Imports: ${fileCount} files keep the order\n`;
  await Deno.stdout.write(new TextEncoder().encode(output));
  Deno.exitCode = problems.length > 0 ? 1 : 0;
}
