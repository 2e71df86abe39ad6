/**
 * A scenario of `deno task same`: commands that the program of either version runs in a home of its own, and what they leave
 * behind. It knows the program by its command line alone, so that the code behind it may change at will.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import { TuttiHome } from "../support/run_tutti.ts";
import { tempFolder } from "../support/temp_folder.ts";
import type { Outcome } from "./outcome.ts";

export interface Stage {
  /** Runs the program of one version. */
  readonly home: TuttiHome;
  /** Ctrl-C. What waits for something else than a command looks at it. */
  readonly signal: AbortSignal;
  /** Folder with the reference numbers of `tutti verify`. */
  readonly goldens: string;
}

export interface Scenario {
  readonly name: string;
  /** What happens, in a few words. */
  readonly what: string;
  /** Whether a later version may give tensors that the base does not know: they are new, not different. @default false */
  readonly mayGrow?: boolean;
  /** Why it cannot be played here; undefined if it can. */
  readonly obstacle?: (conditions: Conditions) => Promise<string | undefined>;
  readonly play: (stage: Stage) => Promise<Outcome>;
}

export interface Conditions {
  readonly goldens: string;
  /** Tells a person who waits. */
  readonly say: (text: string) => void;
}

export interface PlayOptions extends Omit<Stage, "home"> {
  /** The version's `main.ts`. */
  readonly mainProgram: string;
}

/** Plays it in a folder of its own; no process and no file is left, however it ends. */
export async function playScenario(
  scenario: Scenario,
  { mainProgram, signal, goldens }: PlayOptions,
): Promise<Outcome> {
  // What programs that are killed leave in the system's temporary folder is then gone with this one.
  await using temporary = await tempFolder();
  const home = await TuttiHome.create({ mainProgram, env: { TMPDIR: temporary.path } });
  // Commands that end make the scenario fail, wherever it is.
  const interrupt = () => void home.killProcesses();
  signal.addEventListener("abort", interrupt);
  try {
    signal.throwIfAborted();
    return await scenario.play({ home, signal, goldens });
  } finally {
    signal.removeEventListener("abort", interrupt);
    await home.killProcesses();
    await rm(home.path, { recursive: true });
  }
}
