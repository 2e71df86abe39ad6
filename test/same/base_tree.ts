/**
 * The tree of the base commit, with its packages installed: a git worktree in the user's cache folder, which stays there for the
 * next run.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UsageError } from "../../shared/errors.ts";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { cachePath, isThere } from "../support/debian_packages.ts";
import { run, tryRun } from "../support/run_program.ts";

export interface BaseTree {
  readonly path: string;
  readonly mainProgram: string;
  /** The full name of the commit. */
  readonly commit: string;
}

const ROOT = dirname(MAIN_PROGRAM);
/** Digits of a commit's name that tell it from all others. */
const SHORT = 12;

/** @throws {UsageError} if git knows no such commit */
export async function provideBaseTree(
  base: string,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (text: string) => void },
): Promise<BaseTree> {
  const commit = await resolveCommit(base);
  const path = cachePath("same", commit.slice(0, SHORT));
  const git = (...args: readonly string[]) => run("git", ["-C", ROOT, ...args], { signal });
  if (!await isClean(path, commit)) {
    await rm(path, { recursive: true, force: true });
    // Twice: of a tree that git still has on its list, though its folder is gone, too.
    await git("worktree", "add", "--quiet", "--force", "--force", "--detach", path, commit);
  }
  say(`The base is ${commit.slice(0, SHORT)} in ${path}`);
  // Without anything to do where all is installed.
  await run(Deno.execPath(), ["install", "--quiet", "--frozen"], { cwd: path, signal });
  return { path, mainProgram: join(path, "main.ts"), commit };
}

async function resolveCommit(base: string): Promise<string> {
  const args = ["-C", ROOT, "rev-parse", "--verify", "--quiet", `${base}^{commit}`];
  try {
    return (await run("git", args)).trim();
  } catch (cause) {
    throw new UsageError(`--base must be a commit: current value is "${base}"`, { cause });
  }
}

/** Whether the tree is whole and as the commit has it: a run that was interrupted may have left half of one. */
async function isClean(path: string, commit: string): Promise<boolean> {
  // In a folder that is no tree, git would look at whatever tree is around it.
  if (!await isThere(join(path, ".git"))) return false;
  if (!await tryRun("git", ["-C", path, "diff", "--quiet", "HEAD"])) return false;
  return (await run("git", ["-C", path, "rev-parse", "HEAD"])).trim() === commit;
}
