/** Tests on a network of namespaces. Where none can be made they are skipped, and their names say why. @module */

import { isAvailable } from "./net_namespace.ts";

const availability = await isAvailable();

export function testOnNetwork(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  if (availability.isAvailable) Deno.test(name, fn);
  else Deno.test({ name: `${name} (skipped: ${availability.reason})`, ignore: true, fn });
}
