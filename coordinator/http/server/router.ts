/** From a request to the route that answers it, or to a refusal in the form of its dialect. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { isWebSocket } from "../../../shared/http/web_socket.ts";
import type { TokenGuard } from "../../../shared/security/token_guard.ts";
import { show } from "../../../shared/show.ts";
import { roleLogger } from "../../../shared/telemetry/logging.ts";
import { type Caller, callerOf, refuseForeign } from "./access.ts";
import { errorHeaders, httpError, statusOf } from "./http_error.ts";
import { jsonResponse } from "./responses.ts";
import type { Dialect, Route } from "./route.ts";

export interface RouterOptions {
  /** The first one's form of errors is that of paths that are nobody's. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  readonly guard: TokenGuard;
  /** Host names of this server. */
  readonly names: readonly string[];
}

interface CompiledRoute extends Route {
  readonly dialect: Dialect;
  readonly pattern: URLPattern;
}

/** Every answer: nothing of it is for caches, and no browser guesses what it is. */
const HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

export class Router {
  readonly #options: RouterOptions;
  readonly #routes: readonly CompiledRoute[];

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#routes = options.dialects.flatMap((dialect) =>
      dialect.routes.map((route) => ({
        ...route,
        dialect,
        pattern: new URLPattern({ pathname: route.path }),
      }))
    );
  }

  /** Never rejects. @param peer the client's address */
  async answer(request: Request, peer: string): Promise<Response> {
    const url = new URL(request.url);
    let response: Response;
    try {
      response = await this.#answer(request, url, peer);
    } catch (cause) {
      response = this.#refusal(TuttiError.from(cause), request, url.pathname);
    }
    if (isWebSocket(response)) return response;
    for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
    if (request.method !== "HEAD") return response;
    await response.body?.cancel();
    return new Response(null, response);
  }

  async #answer(request: Request, url: URL, peer: string): Promise<Response> {
    const { guard, names } = this.#options;
    refuseForeign(request, { names, hasTokens: guard.isOn });
    const { route, params } = this.#find(request.method, url);
    const caller: Caller = route.isOpen
      ? { owner: "", client: "", seesAll: false }
      : callerOf(request, peer, guard);
    return await route.handle({ request, url, params, caller, guard, gone: request.signal });
  }

  #find(method: string, url: URL) {
    const wanted = method === "HEAD" ? "GET" : method;
    const allowed: string[] = [];
    for (const route of this.#routes) {
      const match = route.pattern.exec({ pathname: url.pathname });
      if (!match) continue;
      if (route.method === wanted) {
        return { route, params: match.pathname.groups as Record<string, string> };
      }
      allowed.push(route.method);
    }
    if (allowed.length === 0) {
      throw httpError(404, "NOT_FOUND", `There is nothing at ${show(url.pathname)}`);
    }
    const { code, message, details } = httpError(
      405,
      "INVALID_ARGUMENT",
      `Method of ${show(url.pathname)} must be ${allowed.join(" or ")}: current value is ${method}`,
    );
    throw new TuttiError(code, message, { details: { ...details, allow: allowed.join(", ") } });
  }

  #refusal(error: TuttiError, request: Request, path: string): Response {
    const { dialects } = this.#options;
    const dialect = this.#routes.find(({ pattern }) => pattern.test({ pathname: path }))?.dialect ??
      dialects.find(({ prefix }) => prefix !== undefined && path.startsWith(prefix)) ?? dialects[0];
    const { status, body } = dialect.refusal(error, statusOf(error));
    // Without the text, which may quote a prompt.
    if (status >= 500) roleLogger("serve").warn("request failed", { path, code: error.code });
    return jsonResponse(body, status, errorHeaders(error, request));
  }
}
