/**
 * Who a worker is for as long as its state folder lives: an id in a file there, locked while the worker runs. Workers that
 * share the folder have a file each; one that is started again takes the first that is free, which is the one it had.
 *
 * @module
 */

import { join } from "node:path";
import { TuttiError } from "../shared/errors.ts";
import { tryLockFile } from "../shared/lock_file.ts";
import { readRegularText } from "../shared/regular_file.ts";

export interface WorkerIdentity extends Disposable {
  readonly id: string;
}

const ID = /^[0-9a-f]{16}$/;
/** More than run on one machine. */
const MAX_WORKERS = 1000;

/**
 * @param folder the state folder
 * @param name of the worker: workers of different names never take each other's id
 * @throws {TuttiError} FAILED_PRECONDITION if the folder cannot be written
 */
export async function takeIdentity(folder: string, name: string): Promise<WorkerIdentity> {
  const identities = join(folder, "identities");
  try {
    await Deno.mkdir(identities, { recursive: true });
    for (let slot = 0; slot < MAX_WORKERS; slot++) {
      const path = join(identities, `${name.replaceAll(/[^A-Za-z0-9_.-]/g, "_")}.${slot}`);
      const identity = await takeFile(path);
      if (identity) return identity;
    }
  } catch (cause) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Folder "${identities}", where this worker's id is kept, cannot be used: ` +
        `${(cause as Error).message}. Name another one with --state`,
      { cause },
    );
  }
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `Folder "${identities}" holds ${MAX_WORKERS} ids for "${name}", and all are in use: give some workers a --state of their own`,
  );
}

/** The id in the file, which gets one if it holds none; `undefined` while another worker has it. */
async function takeFile(path: string): Promise<WorkerIdentity | undefined> {
  const file = await tryLockFile(path);
  if (!file) return undefined;
  try {
    const text = (await readRegularText(path)).trim();
    if (ID.test(text)) return { id: text, [Symbol.dispose]: () => file.close() };
    const id = randomId();
    await file.truncate();
    await file.write(new TextEncoder().encode(`${id}\n`));
    return { id, [Symbol.dispose]: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** 64 random bits, hex. */
export function randomId(): string {
  return crypto.getRandomValues(new BigUint64Array(1))[0]!.toString(16).padStart(16, "0");
}
