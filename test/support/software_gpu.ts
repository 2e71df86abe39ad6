/**
 * A graphics adapter for tests on machines that have none: SwiftShader, the software Vulkan driver that is in Debian's
 * `chromium-common` package, and the Vulkan loader of `libvulkan1`. Only these two files are taken out of the packages, into the
 * user's cache folder; nothing is installed.
 *
 * `TUTTI_TEST_GPU=real` leaves all that: the tests then use the machine's own adapter.
 *
 * @module
 */

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cachePath, isThere, keep, withPackages } from "./debian_packages.ts";

/** The environment in which Vulkan programs find the driver, or why there is none. */
export type SoftwareGpu =
  | { readonly env: Readonly<Record<string, string>> }
  | { readonly reason: string };

const DRIVER_FILE = "vk_swiftshader_icd.json";
const INSTALLED_DRIVER = join("/usr/lib/chromium", DRIVER_FILE);
const LOADER = "libvulkan.so.1";
const TRIPLETS = { x86_64: "x86_64-linux-gnu", aarch64: "aarch64-linux-gnu" } as const;
const PACKAGES = ["chromium-common", "libvulkan1"];
/** The driver's package is a large one. */
const TIMEOUT_MS = 180_000;

/** What is there already. */
export async function findSoftwareGpu(): Promise<SoftwareGpu> {
  if (Deno.env.get("TUTTI_TEST_GPU") === "real") return { env: {} };
  const set = Deno.env.get("VK_DRIVER_FILES");
  if (set !== undefined) return await isThere(set) ? { env: {} } : { reason: `no driver "${set}"` };
  if (Deno.build.os !== "linux") return { reason: "the software GPU of the tests is for Linux" };
  const hasLoader = await isThere(join(libraryFolder(), LOADER));
  if (hasLoader && await isThere(INSTALLED_DRIVER)) {
    return { env: { VK_DRIVER_FILES: INSTALLED_DRIVER } };
  }
  const driver = join(cacheFolder(), DRIVER_FILE);
  const libraries = [cacheFolder(), Deno.env.get("LD_LIBRARY_PATH")].filter(Boolean).join(":");
  return await isThere(driver)
    ? { env: { VK_DRIVER_FILES: driver, LD_LIBRARY_PATH: libraries } }
    : { reason: "SwiftShader is not here: `deno task test` gets it on Debian" };
}

/** Gets it if it is not there and this machine can: a Debian with apt, and package lists or the right to fetch them. */
export async function provideSoftwareGpu(say: (text: string) => void): Promise<SoftwareGpu> {
  const found = await findSoftwareGpu();
  if ("env" in found || Deno.build.os !== "linux") return found;
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  // Others have no such package, or one that is empty.
  if (!/^ID=debian$/m.test(release)) return { reason: "SwiftShader is taken from Debian packages" };
  try {
    say("Getting SwiftShader (32 MB, once) for the tests on a GPU");
    await withPackages(PACKAGES, keepDriver, { timeoutMs: TIMEOUT_MS });
    return await findSoftwareGpu();
  } catch (error) {
    return { reason: `SwiftShader cannot be had: ${(error as Error).message}` };
  }
}

/** The two libraries and the file that names one of them, all at once, so that no half of it is ever found. */
async function keepDriver(root: string): Promise<void> {
  const ready = join(root, "ready");
  await mkdir(ready);
  await rename(
    join(root, "usr/lib/chromium/libvk_swiftshader.so"),
    join(ready, "libvk_swiftshader.so"),
  );
  await Deno.copyFile(
    await Deno.realPath(join(root, libraryFolder(), LOADER)),
    join(ready, LOADER),
  );
  const driver = { library_path: "./libvk_swiftshader.so", api_version: "1.0.5" };
  await writeFile(
    join(ready, DRIVER_FILE),
    JSON.stringify({ file_format_version: "1.0.0", ICD: driver }),
  );
  await keep(ready, cacheFolder());
}

function libraryFolder(): string {
  return join("/usr/lib", TRIPLETS[Deno.build.arch]);
}

function cacheFolder(): string {
  return cachePath(`swiftshader-${Deno.build.arch}`);
}
