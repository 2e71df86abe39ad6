/**
 * `docker-compose` 1.29 of Debian, which checks files without a Docker: the machine's own, or taken with its Python modules
 * out of the packages into the user's cache folder; nothing is installed.
 *
 * @module
 */

import { join } from "node:path";
import { cachePath, isThere, keep, withPackages } from "./debian_packages.ts";

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
  const folder = cachePath("docker-compose");
  if (!await isThere(PYTHON) || !await isThere("/usr/bin/apt-get")) {
    return { reason: "docker-compose is taken from Debian packages" };
  }
  try {
    if (!await isThere(folder)) await withPackages(PACKAGES, (root) => keep(root, folder));
  } catch (error) {
    return { reason: `docker-compose cannot be had: ${(error as Error).message}` };
  }
  return {
    program: PYTHON,
    args: [join(folder, "usr/bin/docker-compose")],
    env: { PYTHONPATH: join(folder, "usr/lib/python3/dist-packages") },
  };
}
