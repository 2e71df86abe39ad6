/**
 * The NATS server of the tests: Debian's package `nats-server`. Where it is not installed, the program alone is taken out of
 * the package, into the user's cache folder.
 *
 * @module
 */

import { join } from "node:path";
import { cachePath, isDebian, isThere, keep, withPackages } from "./debian_packages.ts";

/** The program, or why there is none. */
export type NatsProgram = { readonly path: string } | { readonly reason: string };

const PACKAGE = "nats-server";

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
  if ("path" in found || !await isDebian()) return found;
  try {
    say("Getting nats-server (4 MB, once) for the tests with NATS");
    await withPackages([PACKAGE], (root) => keep(join(root, "usr/sbin", PACKAGE), cached()));
    return await findNatsServer();
  } catch (error) {
    return { reason: `nats-server cannot be had: ${(error as Error).message}` };
  }
}

function cached(): string {
  return cachePath(`nats-server-${Deno.build.arch}`, PACKAGE);
}
