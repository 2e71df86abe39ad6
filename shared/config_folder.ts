/** Where a user keeps what programs are to do by habit. @module */

import { join } from "node:path";

/** `$XDG_CONFIG_HOME/tutti`, else `~/.config/tutti`; `undefined` where neither is known. */
export function configFolder(): string | undefined {
  const config = Deno.env.get("XDG_CONFIG_HOME");
  if (config) return join(config, "tutti");
  const home = Deno.env.get("HOME");
  return home ? join(home, ".config", "tutti") : undefined;
}
