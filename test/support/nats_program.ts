/**
 * The NATS server of the tests: Debian's package `nats-server`. Where it is not installed, the program alone is taken out of
 * the package, into the user's cache folder.
 *
 * @module
 */

import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** The program, or why there is none. */
export type NatsProgram = { readonly path: string } | { readonly reason: string };

const PACKAGE = "nats-server";
const TIMEOUT_MS = 120_000;

/** What is there already: `TUTTI_TEST_NATS_SERVER`, the installed package, or what an earlier run got. */
export async function findNatsServer(): Promise<NatsProgram> {
  const set = Deno.env.get("TUTTI_TEST_NATS_SERVER");
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  const places = set
    ? [set]
    : [...[...folders, "/usr/sbin"].map((folder) => join(folder, PACKAGE)), cached()];
  for (const path of places) {
    if (await isThere(path)) return { path };
  }
  return { reason: "nats-server is not here: `deno task test` gets it on Debian" };
}

/** Gets it if it is not there and this machine can: a Debian with apt, and package lists or the right to fetch them. */
export async function provideNatsServer(say: (text: string) => void): Promise<NatsProgram> {
  const found = await findNatsServer();
  if ("path" in found || Deno.build.os !== "linux") return found;
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  if (!/^ID(_LIKE)?=.*debian/m.test(release)) return found;
  const folder = await mkdtemp(join(tmpdir(), "tutti-nats-"));
  try {
    say("Getting nats-server (4 MB, once) for the tests with NATS");
    await download(folder);
    const [archive] = (await readdir(folder)).filter((name) => name.endsWith(".deb"));
    await run(folder, "dpkg-deb", ["--extract", archive!, "all"]);
    await mkdir(join(cached(), ".."), { recursive: true });
    // Whole or not at all, however many runs are at it.
    const part = `${cached()}.${Deno.pid}.part`;
    await Deno.copyFile(join(folder, "all/usr/sbin", PACKAGE), part);
    await rename(part, cached());
    return await findNatsServer();
  } catch (error) {
    return { reason: `nats-server cannot be had: ${(error as Error).message}` };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function download(folder: string): Promise<void> {
  try {
    await run(folder, "apt-get", ["download", PACKAGE]);
  } catch {
    // Images come without package lists.
    await run(folder, "apt-get", ["update"]);
    await run(folder, "apt-get", ["download", PACKAGE]);
  }
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
  return join(cache, "tutti", `nats-server-${Deno.build.arch}`, PACKAGE);
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
