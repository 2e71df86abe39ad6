/**
 * `docker-compose` 1.29 of Debian, which checks files without a Docker: the machine's own, or taken with its Python modules
 * out of the packages into the user's cache folder; nothing is installed.
 *
 * @module
 */

import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "./run_program.ts";

/** How it is started, or why it is not here. */
export type DockerCompose =
  | { readonly program: string; readonly args: readonly string[]; readonly env: Env }
  | { readonly reason: string };

type Env = Readonly<Record<string, string>>;

/** The program and what it imports. */
const PACKAGES = [
  ...["docker-compose", "python3-docker", "python3-dockerpty", "python3-docopt", "python3-dotenv"],
  ...["python3-texttable", "python3-websocket", "python3-yaml", "python3-jsonschema"],
  ...["python3-requests", "python3-distro", "python3-urllib3", "python3-attr", "python3-six"],
  ...["python3-pyrsistent", "python3-idna", "python3-certifi", "python3-chardet"],
  ...["python3-charset-normalizer", "python3-packaging"],
];
const PYTHON = "/usr/bin/python3";

export async function provideDockerCompose(): Promise<DockerCompose> {
  if (await isThere("/usr/bin/docker-compose")) {
    return { program: "/usr/bin/docker-compose", args: [], env: {} };
  }
  const folder = join(
    Deno.env.get("XDG_CACHE_HOME") || join(homedir(), ".cache"),
    ...["tutti", "docker-compose"],
  );
  if (!await isThere(PYTHON) || !await isThere("/usr/bin/apt-get")) {
    return { reason: "docker-compose is taken from Debian packages" };
  }
  try {
    if (!await isThere(folder)) await download(folder);
  } catch (error) {
    return { reason: `docker-compose cannot be had: ${(error as Error).message}` };
  }
  return {
    program: PYTHON,
    args: [join(folder, "usr/bin/docker-compose")],
    env: { PYTHONPATH: join(folder, "usr/lib/python3/dist-packages") },
  };
}

async function download(folder: string): Promise<void> {
  const temporary = await mkdtemp(join(tmpdir(), "tutti-compose-"));
  const shell = (line: string) => run("/bin/sh", ["-c", `cd "${temporary}" && ${line}`]);
  const fetch = `apt-get download ${PACKAGES.join(" ")}`;
  try {
    // Images come without package lists.
    await shell(`${fetch} || (apt-get update && ${fetch})`);
    for (const name of await readdir(temporary)) await shell(`dpkg-deb --extract "${name}" all`);
    await mkdir(dirname(folder), { recursive: true });
    await run("/bin/cp", ["-a", join(temporary, "all"), `${folder}.${Deno.pid}`]);
    await rename(`${folder}.${Deno.pid}`, folder);
  } finally {
    await rm(temporary, { recursive: true });
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
