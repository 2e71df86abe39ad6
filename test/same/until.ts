/** Waits for a moment inside a command that runs. @module */

import type { TuttiProcess } from "../support/run_tutti.ts";

export interface Waiting {
  readonly signal: AbortSignal;
  /** The command in which the moment comes; its own time limit ends the wait. */
  readonly within: TuttiProcess;
}

const INTERVAL_MS = 5;

/** @throws {Error} if the command ends before */
export async function until(
  hasCome: () => Promise<boolean>,
  { signal, within }: Waiting,
): Promise<void> {
  let isOver = false;
  within.result.catch(() => {}).finally(() => isOver = true);
  while (!await hasCome()) {
    signal.throwIfAborted();
    if (isOver) throw new Error("The command ended before the moment at which it was to be killed");
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
