/** Commands as the documentation shows them, for tests that do what it says. @module */

import { join } from "node:path";
import { DOCS } from "../../shared/project_files.ts";

/** The `sh` blocks of a section of a page in `docs/`, in their order. */
export async function docBlocks(page: string, section: string): Promise<readonly string[]> {
  const sections = (await Deno.readTextFile(join(DOCS, page))).split(/^## /m);
  const text = sections.find((part) => part.startsWith(`${section}\n`)) ?? "";
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block!);
}
