/**
 * `promtool` of Debian's `prometheus` package: the machine's own, or taken out of the package into the user's cache folder;
 * nothing is installed.
 *
 * @module
 */

import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** Where it is, or why it is not. */
export type Promtool = { readonly path: string } | { readonly reason: string };

/** Debian's mirrors are fast; a machine without network shall not wait long. */
const TIMEOUT_MS = 120_000;

export async function providePromtool(): Promise<Promtool> {
  for (const path of ["/usr/bin/promtool", cached()]) {
    if (await isThere(path)) return { path };
  }
  if (!await isThere("/usr/bin/apt-get")) {
    return { reason: "promtool is taken from a Debian package" };
  }
  const folder = await mkdtemp(join(tmpdir(), "tutti-promtool-"));
  try {
    await download(folder);
    const [deb] = (await readdir(folder)).filter((name) => name.endsWith(".deb"));
    await run(folder, "dpkg-deb", ["--extract", deb!, "all"]);
    await mkdir(join(cached(), ".."), { recursive: true });
    await run(folder, "cp", ["all/usr/bin/promtool", `${cached()}.part`]);
    await rename(`${cached()}.part`, cached());
    return { path: cached() };
  } catch (error) {
    return { reason: `promtool cannot be had: ${(error as Error).message}` };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function download(folder: string): Promise<void> {
  const fetchPackage = () => run(folder, "apt-get", ["download", "prometheus"]);
  try {
    await fetchPackage();
  } catch {
    // Images come without package lists.
    await run(folder, "apt-get", ["update"]);
    await fetchPackage();
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

async function run(cwd: string, program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args,
    cwd,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  if (success) return;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Error(
    `${program} ${args[0]}: ${lines.find((line) => line.startsWith("E:")) ?? lines[0]}`,
  );
}

function cached(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache");
  return join(cache, "tutti", `promtool-${Deno.build.arch}`);
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
