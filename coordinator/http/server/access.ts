/** Who calls, and whether they may: tokens, and what keeps other web sites out of a browser that can reach the server. @module */

import { isIP } from "node:net";
import { TuttiError } from "../../../shared/errors.ts";
import { type Bearer, checkRole, type TokenGuard } from "../../../shared/security/token_guard.ts";
import { show } from "../../../shared/show.ts";
import { httpError } from "./http_error.ts";
import { passIn } from "./pass_cookie.ts";

export interface Caller {
  /** Who may see and cancel what this caller asks for: a token or an address. */
  readonly owner: string;
  /** Whom turns are counted for: the owner, and a name that the request gives. */
  readonly client: string;
  /** Whether the jobs of all owners are this caller's, too. */
  readonly seesAll: boolean;
}

/** Names by which a client tells apart those who share its token or address. */
const CLIENT_NAME = /^[\x21-\x7e]{1,100}$/;

/** @throws {TuttiError} UNAUTHENTICATED or PERMISSION_DENIED */
export function callerOf(request: Request, peer: string, guard: TokenGuard): Caller {
  const { secret, user } = credentialsOf(request.headers.get("authorization") ?? "");
  const bearer = guard.isOn ? knownBearer(request, guard, secret) : undefined;
  if (bearer) checkRole(bearer, ["client"], "This request");
  const owner = bearer ? `token:${bearer.tokenHash.slice(0, 16)}` : `address:${peer}`;
  const name = request.headers.get("tutti-client") ?? user ?? "";
  const client = CLIENT_NAME.test(name) ? `${owner}/${name}` : owner;
  return { owner, client, seesAll: !bearer || bearer.roles.has("admin") };
}

/** The same caller under a name that a body gives. */
export function named(caller: Caller, name: unknown): Caller {
  const isName = typeof name === "string" && CLIENT_NAME.test(name);
  return isName ? { ...caller, client: `${caller.owner}/${name}` } : caller;
}

/** A token as Bearer, or as the password of Basic: other tools send either, and an empty header for none. */
function credentialsOf(header: string): { readonly secret?: string; readonly user?: string } {
  const [, scheme = "", value = ""] = /^\s*(\S+)\s+(\S+)\s*$/.exec(header) ?? [];
  if (scheme.toLowerCase() === "bearer") return { secret: value };
  if (scheme.toLowerCase() !== "basic") return {};
  let text: string;
  try {
    text = new TextDecoder().decode(Uint8Array.from(atob(value), (c) => c.charCodeAt(0)));
  } catch {
    return {};
  }
  const colon = text.indexOf(":");
  if (colon < 0) return {};
  return { user: text.slice(0, colon), secret: text.slice(colon + 1) };
}

/** A token that is sent counts alone; without one the page's cookie does. */
function knownBearer(request: Request, guard: TokenGuard, secret: string | undefined): Bearer {
  const pass = passIn(request);
  const bearer = secret === undefined ? pass && guard.bearerOfPass(pass) : guard.bearerOf(secret);
  if (bearer) return bearer;
  throw new TuttiError(
    "UNAUTHENTICATED",
    `This request needs a token that is known here, as "Authorization: Bearer TOKEN", or with Basic as the password: ` +
      (secret === undefined ? "there is none" : "this one is not known"),
  );
}

/** Names that nobody can register: `localhost`, those of containers and of networks at home. */
const PRIVATE_NAME = /^[^.]+$|\.(?:localhost|local|internal|lan|home\.arpa)$/;

/**
 * Refuses what a web page of another site sends, and names that a site may have given this machine's address (DNS
 * rebinding). With tokens a foreign name is no danger: its pages know none.
 *
 * @param names of this server, besides addresses and private names
 * @throws {TuttiError} PERMISSION_DENIED
 */
export function refuseForeign(
  { headers, url }: Request,
  { names, hasTokens }: { readonly names: readonly string[]; readonly hasTokens: boolean },
): void {
  const { host, hostname, protocol } = new URL(url);
  const isKnown = hasTokens || isIP(hostname.replace(/^\[(.*)\]$/, "$1")) !== 0 ||
    PRIVATE_NAME.test(hostname) || names.some((name) => name.toLowerCase() === hostname);
  if (!isKnown) {
    throw httpError(
      403,
      "PERMISSION_DENIED",
      `Host ${show(hostname)} is no name of this server: call it by its address, or give it tokens`,
    );
  }
  const origin = headers.get("origin");
  if (origin === null || isSame(origin, host, protocol)) return;
  throw httpError(403, "PERMISSION_DENIED", `Pages of ${show(origin)} must not call this server`);
}

/** Behind a proxy with TLS the page's origin is https, and what arrives here is not. */
function isSame(origin: string, host: string, protocol: string): boolean {
  return origin === `${protocol}//${host}` || origin === `https://${host}`;
}
