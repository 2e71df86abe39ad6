/**
 * The browser of the tests: Chromium, as Debian's package `chromium-headless-shell` has it, and what drives it, which lies
 * apart from the program's own packages in `test/clients/`.
 *
 * @module
 */

import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { installPackages, isDebian, isThere } from "./debian_packages.ts";

/** The program, and the packages that drive it; or why there are none. */
export type BrowserProgram =
  | { readonly path: string; readonly require: NodeJS.Require }
  | { readonly reason: string };

const CLIENTS = resolve(import.meta.dirname!, "../clients");
const NAMES = ["chromium-headless-shell", "chromium", "google-chrome"];
const DRIVER = "playwright-core";
const TIMEOUT_MS = 120_000;

/** What is there already: `TUTTI_TEST_CHROMIUM`, or an installed one. */
export async function findBrowser(): Promise<BrowserProgram> {
  const path = await programPath();
  if (path === undefined) {
    return {
      reason: "there is no Chromium: apt-get install chromium-headless-shell",
    };
  }
  const require = createRequire(join(CLIENTS, "package.json"));
  try {
    require.resolve(DRIVER);
  } catch {
    return { reason: `${DRIVER} is not here: \`deno task test\` gets it` };
  }
  return { path, require };
}

/** Gets a browser where this user may install one, and the packages that drive it. */
export async function provideBrowser(
  say: (text: string) => void,
): Promise<BrowserProgram> {
  if (await programPath() === undefined && await isDebian() && Deno.uid() === 0) {
    say(`Getting ${NAMES[0]} (100 MB, once) for the tests in a browser`);
    try {
      await installPackages([NAMES[0]!]);
    } catch (error) {
      return { reason: `Chromium cannot be had: ${(error as Error).message}` };
    }
  }
  const found = await findBrowser();
  if ("path" in found || await programPath() === undefined) return found;
  say(`Getting ${DRIVER} (18 MB, once) for the tests in a browser`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["install", "--frozen"],
    cwd: CLIENTS,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  if (success) return await findBrowser();
  return {
    reason: `${DRIVER} cannot be had: ${new TextDecoder().decode(stderr).trim()}`,
  };
}

async function programPath(): Promise<string | undefined> {
  const set = Deno.env.get("TUTTI_TEST_CHROMIUM");
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  const places = set ? [set] : NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  for (const place of places) {
    if (await isThere(place)) return place;
  }
  return undefined;
}
