/** The page for people: static files, which ask the native API as any program does. @module */

import { show } from "../../../shared/show.ts";
import { httpError } from "../server/http_error.ts";
import type { Dialect } from "../server/route.ts";
import { type PageFile, type PageFiles, readPageFiles } from "./page_files.ts";

/** Of every file: each also is an address that somebody can open. */
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
};

export function page(refusal: Dialect["refusal"]): Dialect {
  // Whoever never opens it does not wait for it.
  let read: Promise<PageFiles> | undefined;
  const files = () => read ??= readPageFiles();
  return {
    name: "page",
    refusal,
    routes: [
      {
        method: "GET",
        path: "/",
        isOpen: true,
        handle: async () => {
          const { index, importMapHash } = await files();
          return fileResponse(index, { "content-security-policy": policy(importMapHash) });
        },
      },
      {
        method: "GET",
        path: "/page/:path(.+)",
        isOpen: true,
        handle: async ({ params }) => {
          const file = (await files()).files.get(params.path!);
          if (file) return fileResponse(file);
          throw httpError(404, "NOT_FOUND", `The page has no file ${show(params.path)}`);
        },
      },
    ],
  };
}

/** What it may load and run: its own files from here, and nothing that came as text. */
function policy(importMapHash: string): string {
  return [
    "default-src 'none'",
    `script-src 'self' '${importMapHash}'`,
    "style-src 'self'",
    // Previews come as data within events.
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ].join("; ");
}

function fileResponse({ bytes, contentType }: PageFile, headers: Record<string, string> = {}) {
  return new Response(bytes, { headers: { "content-type": contentType, ...HEADERS, ...headers } });
}
