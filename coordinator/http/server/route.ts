/** What a dialect is made of: routes, and the form of its refusals. @module */

import type { TuttiError } from "../../../shared/errors.ts";
import type { TokenGuard } from "../../../shared/security/token_guard.ts";
import type { Caller } from "./access.ts";

export interface Call {
  readonly request: Request;
  readonly url: URL;
  /** The named parts of the path. */
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Caller;
  /** The tokens that are known, for a route that is open. */
  readonly guard: TokenGuard;
  /** Fires when the client goes away before it has an answer. */
  readonly gone: AbortSignal;
}

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** As URLPattern has it: `/api/v1/jobs/:id`. */
  readonly path: string;
  /** Whether it is answered without a token. @default false */
  readonly isOpen?: boolean;
  handle(call: Call): Response | Promise<Response>;
}

export interface Dialect {
  readonly name: string;
  /** What its paths begin with, where they have that in common: then paths that it does not have are refused in its form, too. */
  readonly prefix?: string;
  readonly routes: readonly Route[];
  /** Its form of an error. @param status as the native API has it */
  refusal(error: TuttiError, status: number): Refusal;
}

export interface Refusal {
  readonly status: number;
  readonly body: unknown;
}
