/** All files that the page is made of: its own, and the modules of npm packages that they import. @module */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";

export interface PageFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

export interface PageFiles {
  /** By their path below `/page/`. */
  readonly files: ReadonlyMap<string, PageFile>;
  /** What is at `/`. */
  readonly index: PageFile;
  /** Its inline script, the import map: `sha256-` and base64, as a Content-Security-Policy names it. */
  readonly importMapHash: string;
}

const SITE = join(import.meta.dirname!, "site");
const INDEX = "index.html";
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Modules for browsers, by the names that the import map gives them. */
function packageModules(): Readonly<Record<string, string>> {
  const { resolve } = createRequire(import.meta.url);
  return {
    "npm/preact.js": resolve("preact"),
    "npm/preact_hooks.js": resolve("preact/hooks"),
    "npm/htm.js": join(dirname(resolve("htm")), "htm.module.js"),
  };
}

export async function readPageFiles(): Promise<PageFiles> {
  const entries = await readdir(SITE, { recursive: true, withFileTypes: true });
  const own = entries.filter((entry) => entry.isFile()).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(SITE.length + 1).replaceAll("\\", "/"), path] as const;
  });
  const files = new Map<string, PageFile>();
  for (const [name, path] of [...own, ...Object.entries(packageModules())]) {
    const contentType = CONTENT_TYPES[extname(name)];
    if (contentType === undefined) continue;
    files.set(name, { bytes: new Uint8Array(await readFile(path)), contentType });
  }
  const index = files.get(INDEX)!;
  files.delete(INDEX);
  return { files, index, importMapHash: importMapHash(index) };
}

function importMapHash({ bytes }: PageFile): string {
  const html = new TextDecoder().decode(bytes);
  const [, script] = /<script type="importmap">(.*?)<\/script>/s.exec(html)!;
  return `sha256-${createHash("sha256").update(script!).digest("base64")}`;
}
