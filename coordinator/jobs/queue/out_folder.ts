/**
 * The folder that a coordinator of the queue writes images to. That it cannot be written is no job's fault: the job goes
 * back with all its steps, no try of it is counted, and no other one is taken until the folder can be written again.
 *
 * @module
 */

import { TuttiError } from "../../../shared/errors.ts";
import { checkOut, isFolder } from "../output_paths.ts";

/** When to give the job out again, ms: to another coordinator, or to this one once it can write. */
const RETRY_MS = 1_000;

export class OutFolder {
  readonly path: string;
  #hasFailed = false;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws {TuttiError} UNAVAILABLE with `retry_after_ms` if it is the folder that fails; else what `write` throws */
  async write<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (cause) {
      if (!isFileTrouble(cause)) throw cause;
      this.#hasFailed = true;
      throw new TuttiError(
        "UNAVAILABLE",
        `Images cannot be written to --out "${this.path}": ${TuttiError.from(cause).message}`,
        { cause, details: { file: this.path, retry_after_ms: String(RETRY_MS) } },
      );
    }
  }

  /**
   * To be asked before a job is taken. A folder that is gone is made again.
   *
   * @throws {FormatError} naming the folder and what is wrong with it
   */
  async check(): Promise<void> {
    if (!this.#hasFailed && await isFolder(this.path)) return;
    await checkOut(this.path, "folder");
    this.#hasFailed = false;
  }
}

/** Whether the system refused, as in ENOSPC, EACCES or ENOTDIR. */
function isFileTrouble(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (/^E[A-Z]+$/.test(String((each as { code?: unknown }).code))) return true;
  }
  return false;
}
