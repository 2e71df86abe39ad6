/**
 * Workers that run on this machine, whoever started them: each keeps a small file in the user's state folder and holds a lock
 * on it, which the system lets go of however the process ends. So `ps` and `top` find workers that were started by hand.
 *
 * @module
 */

import { join } from "node:path";
import { tryLockFile } from "./lock_file.ts";
import { readRegularText } from "./regular_file.ts";
import { stateFolder } from "./state_folder.ts";

export interface NotedWorker {
  /** HOST:PORT */
  readonly address: string;
  /** Whether it asks for credentials, or shows a certificate. */
  readonly isSecured: boolean;
}

const folderOf = () => join(stateFolder(), "running");

/**
 * To be called once a worker serves; whoever lists workers sees it until the result is disposed of.
 *
 * @throws what the system says if the folder cannot be written, or the file system has no locks
 */
export async function noteWorker(worker: NotedWorker): Promise<AsyncDisposable> {
  await Deno.mkdir(folderOf(), { recursive: true });
  const path = join(folderOf(), `${crypto.randomUUID()}.json`);
  const file = (await tryLockFile(path))!;
  await file.write(new TextEncoder().encode(`${JSON.stringify(worker)}\n`));
  return {
    async [Symbol.asyncDispose]() {
      await Deno.remove(path).catch(() => {/* Gone with its folder. */});
      file.close();
    },
  };
}

/** Those whose process is alive, by address. Files of others are removed. */
export async function notedWorkers(): Promise<NotedWorker[]> {
  const workers: NotedWorker[] = [];
  try {
    for await (const { name } of Deno.readDir(folderOf())) {
      const worker = await readNote(join(folderOf(), name));
      if (worker) workers.push(worker);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return workers.sort((a, b) => a.address.localeCompare(b.address));
}

async function readNote(path: string): Promise<NotedWorker | undefined> {
  using left = await tryLockFile(path);
  if (left) {
    await Deno.remove(path).catch(() => {/* Another command was faster. */});
    return undefined;
  }
  try {
    const { address, isSecured } = JSON.parse(await readRegularText(path)) as NotedWorker;
    return typeof address === "string" ? { address, isSecured: isSecured === true } : undefined;
  } catch {
    return undefined; // Being written or just removed.
  }
}
