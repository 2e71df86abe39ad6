/**
 * Debian packages of programs that tests need and machines may lack: downloaded and unpacked, so that what is wanted goes into
 * the user's cache folder and nothing is installed; or, with the libraries that a program needs, installed by who may.
 *
 * @module
 */

import { access, cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

export interface DownloadOptions {
  /** Longest time of each step, ms. Debian's mirrors are fast; a machine without network shall not wait long. @default 120000 */
  readonly timeoutMs?: number;
}

/**
 * @param use is given the folder in which the packages' files lie as below `/`; it is gone afterwards
 * @throws {Error} with apt's own words if the packages cannot be had
 */
export async function withPackages<T>(
  packages: readonly string[],
  use: (root: string) => Promise<T>,
  { timeoutMs = 120_000 }: DownloadOptions = {},
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "tutti-packages-"));
  const run = (program: string, args: readonly string[]) => runIn(folder, program, args, timeoutMs);
  const download = () => run("apt-get", ["download", ...packages]);
  try {
    await download().catch(async () => {
      // Images come without package lists.
      await run("apt-get", ["update"]);
      await download();
    });
    for (const name of (await readdir(folder)).filter((each) => each.endsWith(".deb"))) {
      await run("dpkg-deb", ["--extract", name, "all"]);
    }
    return await use(join(folder, "all"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Installs packages with what they depend on.
 *
 * @throws {Error} with apt's own words, or because this user may not
 */
export async function installPackages(
  packages: readonly string[],
  { timeoutMs = 240_000 }: DownloadOptions = {},
): Promise<void> {
  if (Deno.uid() !== 0) throw new Error("only root may install packages");
  const run = (args: readonly string[]) => runIn("/", "apt-get", args, timeoutMs);
  const install = () => run(["install", "--yes", "--no-install-recommends", ...packages]);
  await install().catch(async () => {
    // Images come without package lists.
    await run(["update"]);
    await install();
  });
}

/** Whether packages are Debian's here. */
export async function isDebian(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  return /^ID(_LIKE)?=.*debian/m.test(release);
}

/** Of the user, for what tests have got. */
export function cachePath(...parts: readonly string[]): string {
  return join(Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"), "tutti", ...parts);
}

/** Copies a file or a folder to its place: whole or not at all, however many runs are at it. */
export async function keep(path: string, place: string): Promise<void> {
  const part = `${place}.${Deno.pid}.part`;
  await mkdir(dirname(place), { recursive: true });
  await cp(path, part, { recursive: true, verbatimSymlinks: true });
  try {
    await rename(part, place);
  } catch (error) {
    await rm(part, { recursive: true });
    // A folder that another run has put there meanwhile stays.
    if (!await isThere(place)) throw error;
  }
}

export function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

async function runIn(
  cwd: string,
  program: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(timeoutMs),
  }).output();
  if (success) return;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Error(
    `${program} ${args[0]}: ${lines.find((line) => line.startsWith("E:")) ?? lines[0]}`,
  );
}
