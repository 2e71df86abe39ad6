/** Where the newest step of one run is kept. @module */

import { basename, dirname } from "node:path";
import { mkdir } from "node:fs/promises";
import { FormatError, TuttiError } from "../../shared/errors.ts";
import { tryLockFile } from "../../shared/lock_file.ts";
import { readRegularFile } from "../../shared/regular_file.ts";
import { show } from "../../shared/show.ts";
import { decodeCheckpoint, encodeCheckpoint, type StepCheckpoint } from "./step_checkpoint.ts";

export interface CheckpointStore {
  /** @throws {FormatError} if what is there is no checkpoint */
  load(): Promise<StepCheckpoint | undefined>;
  /** Replaces the one before, whole or not at all. */
  save(checkpoint: StepCheckpoint): Promise<void>;
  remove(): Promise<void>;
}

/** A file. */
export class FileCheckpoint implements CheckpointStore {
  constructor(readonly path: string) {}

  /**
   * Keeps other runs away from it until it is disposed of; a lock file lies beside it as long.
   *
   * @throws {TuttiError} FAILED_PRECONDITION while another run has it
   * @throws {FormatError} if its folder cannot be written, or the file system has no locks
   */
  async hold(): Promise<AsyncDisposable> {
    const path = `${this.path}.lock`;
    let file: Deno.FsFile | undefined;
    try {
      await mkdir(dirname(path), { recursive: true });
      file = await tryLockFile(path);
    } catch (cause) {
      throw new FormatError(
        `Cannot write to and lock ${show(path)}: ${
          (cause as Error).message
        }. Choose another --checkpoint`,
        { cause },
      );
    }
    if (!file) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `Another run keeps its steps in ${
          show(this.path)
        }: wait until it ends, or choose another --checkpoint`,
        { details: { file: this.path } },
      );
    }
    return {
      async [Symbol.asyncDispose]() {
        await Deno.remove(path).catch(() => {/* Gone with its folder. */});
        file.close();
      },
    };
  }

  async load(): Promise<StepCheckpoint | undefined> {
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await readRegularFile(this.path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw new FormatError(
        `Checkpoint ${show(this.path)} must be readable: ${(cause as Error).message}`,
        { cause },
      );
    }
    return decodeCheckpoint(bytes, this.path);
  }

  async save(checkpoint: StepCheckpoint): Promise<void> {
    const partial = `${this.path}.${crypto.randomUUID()}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      await writeDurably(partial, encodeCheckpoint(checkpoint));
      await Deno.rename(partial, this.path);
    } catch (cause) {
      await Deno.remove(partial).catch(() => {/* Never created, or gone with its folder. */});
      throw new TuttiError("UNKNOWN", `Cannot write checkpoint ${show(this.path)}: ${cause}`, {
        cause,
      });
    }
  }

  /** With what a process that was killed while it saved has left. */
  async remove(): Promise<void> {
    const [folder, name] = [dirname(this.path), basename(this.path)];
    const isLeftOver = (other: string) => other.startsWith(`${name}.`) && other.endsWith(".tmp");
    await Deno.remove(this.path);
    for await (const entry of Deno.readDir(folder)) {
      if (isLeftOver(entry.name)) await Deno.remove(`${folder}/${entry.name}`).catch(() => {});
    }
  }
}

/** On the disk, not only on its way there, when it returns. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let written = 0; written < bytes.byteLength;) {
    written += await file.write(bytes.subarray(written));
  }
  await file.sync();
}
