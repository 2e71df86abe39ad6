/** One process at a time writes a run's folder. @module */

import { join } from "node:path";
import { FormatError, TuttiError } from "../../shared/errors.ts";

const LOCK = ".lock";

/**
 * Holds the folder of a run, which is made if it is not there. The system lets go of it when the process ends, however it
 * ends; the empty file stays.
 *
 * @throws {TuttiError} FAILED_PRECONDITION while another process holds it
 * @throws {FormatError} if the folder cannot be written
 */
export async function holdRun(folder: string): Promise<Disposable> {
  let file: Deno.FsFile | undefined;
  let isFree: boolean;
  try {
    await Deno.mkdir(folder, { recursive: true });
    file = await Deno.open(join(folder, LOCK), { write: true, create: true });
    isFree = await file.tryLock(true);
  } catch (cause) {
    file?.close();
    throw new FormatError(`Cannot write to "${folder}": ${(cause as Error).message}`, { cause });
  }
  const close = () => file.close();
  if (isFree) return { [Symbol.dispose]: close };
  close();
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `Another process is writing a run to "${folder}": wait until it ends, or choose another --out`,
    { details: { folder } },
  );
}
