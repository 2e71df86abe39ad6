/** Requests to a server that listens nowhere: to its router, in this process. @module */

import assert from "node:assert/strict";
import type { JobRuntime } from "../../../coordinator/http/runtime/job_runtime.ts";
import { dialectsOf } from "../../../coordinator/http/server/dialects.ts";
import { Router } from "../../../coordinator/http/server/router.ts";
import { OPENAPI } from "../../../coordinator/http/v1/openapi.ts";
import { parseTokens } from "../../../shared/security/token_file.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";

export interface Asked {
  readonly status: number;
  readonly headers: Headers;
  /** What JSON says, else the text. */
  // deno-lint-ignore no-explicit-any -- each test says what it expects
  readonly body: any;
}

export interface AskOptions {
  /** JSON, or a text or a form as it is. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly peer?: string;
  readonly signal?: AbortSignal;
}

export class Asker {
  readonly router: Router;

  /** @param tokens lines of a token file */
  constructor(runtime: JobRuntime, tokens = "") {
    const guard = new TokenGuard(tokens === "" ? [] : parseTokens(tokens, "test"));
    this.router = new Router({ dialects: dialectsOf(runtime), guard, names: ["pictures.example"] });
  }

  /** @param line method and path, or URL: "GET /api/v1/jobs" */
  async response(line: string, options: AskOptions = {}): Promise<Response> {
    const { body, headers = {}, peer = "127.0.0.1", signal } = options;
    const [method = "", path = ""] = line.split(" ");
    const isSentAsItIs = typeof body === "string" || body instanceof FormData;
    const request = new Request(new URL(path, "http://127.0.0.1:7860"), {
      method,
      headers,
      ...(body !== undefined && { body: isSentAsItIs ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    return await this.router.answer(request, peer);
  }

  async ask(line: string, options?: AskOptions): Promise<Asked> {
    const response = await this.response(line, options);
    const { status, headers } = response;
    checkTold(line, status);
    const text = await response.text();
    const isJson = headers.get("content-type")?.startsWith("application/json");
    return { status, headers, body: isJson ? JSON.parse(text) : text };
  }
}

type Operations = Readonly<
  Record<string, { readonly responses: Readonly<Record<string, unknown>> }>
>;

/** Whatever the native API answers, its document tells. */
function checkTold(line: string, status: number): void {
  const [method = "", address = ""] = line.split(" ");
  const { pathname } = new URL(address, "http://127.0.0.1");
  for (const [path, operations] of Object.entries(OPENAPI.paths as Record<string, Operations>)) {
    const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`);
    const told = operations[method.toLowerCase()]?.responses;
    if (told && pattern.test(pathname)) assert.ok(status in told, `${line}: ${status} is not told`);
  }
}
