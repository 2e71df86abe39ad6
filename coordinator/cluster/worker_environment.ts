/** The environment that a worker process gets from the one that starts it. @module */

/** This process's environment without some variables. */
export function environmentWithout(names: readonly string[]): Record<string, string> {
  const kept = Object.entries(Deno.env.toObject()).filter(([name]) => !names.includes(name));
  return Object.fromEntries(kept);
}
