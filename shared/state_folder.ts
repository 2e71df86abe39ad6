/** Where what must outlive a process is kept. @module */

import { join } from "node:path";
import { TuttiError } from "./errors.ts";

/**
 * `$XDG_STATE_HOME/tutti`, else `~/.local/state/tutti`.
 *
 * @throws {TuttiError} FAILED_PRECONDITION if neither is known
 */
export function stateFolder(): string {
  const state = Deno.env.get("XDG_STATE_HOME");
  if (state) return join(state, "tutti");
  const home = Deno.env.get("HOME");
  if (!home) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      "HOME or XDG_STATE_HOME must be set: running workers are recorded there",
    );
  }
  return join(home, ".local", "state", "tutti");
}
