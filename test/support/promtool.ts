/**
 * `promtool` of Debian's `prometheus` package: the machine's own, or taken out of the package into the user's cache folder;
 * nothing is installed.
 *
 * @module
 */

import { join } from "node:path";
import { cachePath, isThere, keep, withPackages } from "./debian_packages.ts";

/** Where it is, or why it is not. */
export type Promtool = { readonly path: string } | { readonly reason: string };

export async function providePromtool(): Promise<Promtool> {
  for (const path of ["/usr/bin/promtool", cached()]) {
    if (await isThere(path)) return { path };
  }
  if (!await isThere("/usr/bin/apt-get")) {
    return { reason: "promtool is taken from a Debian package" };
  }
  try {
    await withPackages(["prometheus"], (root) => keep(join(root, "usr/bin/promtool"), cached()));
    return { path: cached() };
  } catch (error) {
    return { reason: `promtool cannot be had: ${(error as Error).message}` };
  }
}

/** @returns what it complains about: nothing if all is well */
export async function checkMetrics(promtool: string, text: string): Promise<string> {
  const child = new Deno.Command(promtool, {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return success ? said.trim() : said.trim() || "it failed without a word";
}

function cached(): string {
  return cachePath(`promtool-${Deno.build.arch}`);
}
