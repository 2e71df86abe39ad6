/** Commands as README shows them, for tests that do what it says. @module */

import { README } from "../../shared/project_files.ts";

/** The `sh` blocks of a section, in their order. */
export async function readmeBlocks(section: string): Promise<readonly string[]> {
  const sections = (await Deno.readTextFile(README)).split(/^## /m);
  const text = sections.find((part) => part.startsWith(`${section}\n`)) ?? "";
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block!);
}
