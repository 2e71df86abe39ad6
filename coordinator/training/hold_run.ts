/** One process at a time writes a run's folder. @module */

import { join } from "node:path";
import { FormatError, TuttiError } from "../../shared/errors.ts";
import { tryLockFile } from "../../shared/lock_file.ts";

const LOCK = ".lock";

/**
 * Holds the folder of a run, which is made if it is not there. The empty lock file stays.
 *
 * @param flag that names the folder, for messages
 * @throws {TuttiError} FAILED_PRECONDITION while another process holds it
 * @throws {FormatError} if the folder cannot be written, or its file system has no locks
 */
export async function holdRun(folder: string, flag = "--out"): Promise<Disposable> {
  let file: Deno.FsFile | undefined;
  try {
    await Deno.mkdir(folder, { recursive: true });
    file = await tryLockFile(join(folder, LOCK));
  } catch (cause) {
    throw new FormatError(
      `Cannot write to and lock "${folder}": ${(cause as Error).message}. Choose another ${flag}`,
      { cause },
    );
  }
  if (file) return { [Symbol.dispose]: () => file.close() };
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `Another process is writing a run to "${folder}": wait until it ends, or choose another ${flag}`,
    { details: { folder } },
  );
}
