/**
 * The private folder of a unix socket. Its name carries the process that made it, so that what a killed process leaves is
 * found and removed.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { tmpdir } from "node:os";
import { closeConn } from "./conn_io.ts";
import { PlaneError } from "./plane_error.ts";

const FOLDER_NAME = /^tutti-plane-([1-9][0-9]{0,9})-/;
const SOCKET_NAME = "plane.sock";

/** @returns the path for a socket in a new folder that only this user can look into */
export async function createSocketPath(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: `tutti-plane-${Deno.pid}-` });
  await Deno.chmod(folder, 0o700);
  return join(folder, SOCKET_NAME);
}

export async function removeSocketPath(path: string): Promise<void> {
  await Deno.remove(dirname(path), { recursive: true }).catch(() => {}); // It may be gone.
}

/**
 * For a path that a peer names: anything else may be somebody else's socket, which would be sent what it never expected.
 *
 * @throws {PlaneError} INVALID_ARGUMENT if it is not one that `createSocketPath()` makes, in a folder of this user alone
 */
export async function checkSocketPath(path: string): Promise<void> {
  const folder = dirname(path);
  const isOurs = path === join(folder, SOCKET_NAME) && FOLDER_NAME.test(basename(folder)) &&
    await isPrivate(folder);
  if (isOurs) return;
  // Hostile paths may be long, and have control characters.
  const shown = JSON.stringify(path.slice(0, 120));
  throw new PlaneError(
    "INVALID_ARGUMENT",
    `Path of a unix plane must be a private folder's tutti-plane-*/${SOCKET_NAME}: current path is ${shown}`,
  );
}

async function isPrivate(folder: string): Promise<boolean> {
  const info = await Deno.lstat(folder).catch(() => undefined);
  return info?.isDirectory === true && info.uid === Deno.uid() && ((info.mode ?? 0) & 0o077) === 0;
}

/**
 * Removes the folders whose process is gone and whose socket nobody listens on: a container that shares the folder has
 * processes that we do not see. To be called when a worker starts; never throws.
 *
 * @returns the paths that are gone now
 */
export async function sweepSocketFolders(): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(tmpdir())).catch(() => []);
  const removed: string[] = [];
  for (const { name, isDirectory } of entries) {
    const pid = FOLDER_NAME.exec(name)?.[1];
    if (pid === undefined || !isDirectory || await exists(`/proc/${pid}`)) continue;
    const folder = join(tmpdir(), name);
    if (await isServed(join(folder, SOCKET_NAME))) continue;
    // Somebody else may be faster.
    await Deno.remove(folder, { recursive: true }).then(() => removed.push(folder), () => {});
  }
  return removed;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

async function isServed(path: string): Promise<boolean> {
  try {
    closeConn(await Deno.connect({ transport: "unix", path }));
    return true;
  } catch (error) {
    // Refused, or not there at all. What we may not ask about is not ours to remove.
    return !(error instanceof Deno.errors.ConnectionRefused ||
      error instanceof Deno.errors.NotFound);
  }
}
