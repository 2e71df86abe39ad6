/**
 * Whether files are still those that were hashed. Weights are read when they are needed first, which may be days after a
 * worker has told who its model is: a file that was replaced meanwhile would be served under the old hash.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { show } from "../show.ts";

/**
 * What tells one state of a file from another one: tools that copy set `mtime` back, nothing sets back `ctime` (of which Deno
 * 2.9 tells whole seconds).
 */
interface Stamp {
  readonly size: number;
  readonly mtime: number | undefined;
  readonly ctime: number | undefined;
  readonly inode: number | null;
}

export class FileStamps {
  readonly #stamps: ReadonlyMap<string, Stamp>;

  private constructor(stamps: ReadonlyMap<string, Stamp>) {
    this.#stamps = stamps;
  }

  /** As the files are now: to be taken before they are hashed. One that is not there is left to whoever reads it. */
  static of(paths: Iterable<string>): FileStamps {
    const stamps = new Map<string, Stamp>();
    for (const path of new Set(paths)) {
      const stamp = stampOf(path);
      if (stamp) stamps.set(path, stamp);
    }
    return new FileStamps(stamps);
  }

  /** What each file is known by, its path included: another state of it has other facts. */
  get identity(): readonly (string | number | null | undefined)[] {
    return [...this.#stamps].flatMap((
      [path, { size, mtime, ctime, inode }],
    ) => [path, size, mtime, ctime, inode]);
  }

  and(others: FileStamps | undefined): FileStamps {
    return others ? new FileStamps(new Map([...this.#stamps, ...others.#stamps])) : this;
  }

  /**
   * To be called after something was read of them: what was read before the change is right in any case.
   *
   * @throws {TuttiError} FAILED_PRECONDITION naming the file and what of it is another
   */
  check(): void {
    for (const [path, then] of this.#stamps) {
      const now = stampOf(path);
      if (!now) throw replaced(path, "it is gone");
      const changed = (Object.keys(then) as (keyof Stamp)[]).filter((key) =>
        then[key] !== now[key]
      );
      if (changed.length > 0) throw replaced(path, `another ${changed.join(", ")}`);
    }
  }

  /**
   * To be called after something was computed with weights that were read before: the runtime maps files into memory, so one
   * that is written over in place changes under it. One that was replaced by another file does not.
   *
   * @param paths those of the files that were computed with
   * @throws {TuttiError} FAILED_PRECONDITION naming the file
   */
  checkInPlace(paths: readonly string[]): void {
    for (const path of paths) {
      const [then, now] = [this.#stamps.get(path), stampOf(path)];
      if (!then || now?.inode !== then.inode) continue;
      // Not ctime, which a change of rights or another link to the file moves, too.
      const changed = (["size", "mtime"] as const).filter((key) => then[key] !== now[key]);
      if (changed.length > 0) throw replaced(path, `another ${changed.join(", ")}`);
    }
  }
}

function stampOf(path: string): Stamp | undefined {
  try {
    const { size, mtime, ctime, ino } = Deno.statSync(path);
    return { size, mtime: mtime?.getTime(), ctime: ctime?.getTime(), inode: ino };
  } catch {
    return undefined;
  }
}

function replaced(path: string, what: string): TuttiError {
  return new TuttiError(
    "FAILED_PRECONDITION",
    `Weight file ${show(path)} must stay as it was when it was opened: it has changed (${what}). ` +
      "Start this again to use what it holds now",
    { details: { path } },
  );
}
