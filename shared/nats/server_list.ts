/**
 * `--nats`: where NATS servers are, and the user that logs in there. The user and password may be part of the URL, as NATS
 * tools take it; nothing that a person or a log gets to see contains them.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import { type Address, formatAddress, parseAddress } from "../wire/address.ts";

export type NatsLogin =
  | { readonly user: string; readonly pass: string }
  | { readonly token: string };

export interface ServerList {
  /** One or more servers of the same cluster. */
  readonly servers: readonly Address[];
  /** Whether the URL asks for TLS; a server that wants it gets it in any case. */
  readonly isTls: boolean;
  readonly login?: NatsLogin;
}

const DEFAULT_PORT = 4222;
const FORM = "nats://[USER:PASSWORD@]HOST[:PORT] or tls://..., several separated by commas";

/**
 * Reads `nats://127.0.0.1:4222`, `nats-1:4222,nats-2:4222`, `tls://user:password@nats.example` or `nats://token@nats.example`.
 *
 * @throws {UsageError} if the text is no such list; the message leaves the login out
 */
export function parseServerList(text: string): ServerList {
  const parts = text.split(",").map((part) => parseServer(part.trim(), text));
  const logins = parts.flatMap(({ login }) => login ?? []);
  if (new Set(logins.map((login) => JSON.stringify(login))).size > 1) {
    throw new UsageError(
      `--nats must have one login for all servers: current value is "${redacted(text)}"`,
    );
  }
  return {
    servers: parts.map(({ server }) => server),
    isTls: parts.some(({ isTls }) => isTls),
    ...(logins[0] && { login: logins[0] }),
  };
}

/** For messages: addresses only. */
export function formatServerList({ servers }: ServerList): string {
  return servers.map(formatAddress).join(", ");
}

interface Server {
  readonly server: Address;
  readonly isTls: boolean;
  readonly login?: NatsLogin;
}

function parseServer(part: string, text: string): Server {
  const [, scheme = "nats", rest = ""] = /^(?:([a-z]+):\/\/)?(.*)$/is.exec(part) ?? [];
  // The last "@": a password may contain one that nobody encoded.
  const at = rest.lastIndexOf("@");
  const place = rest.slice(at + 1).replace(/\/$/, "");
  const hasPort = /:\d*$/.test(place) && (!place.startsWith("[") || /\]:\d*$/.test(place));
  const refuse = (): never => {
    throw new UsageError(`--nats must be ${FORM}: current value is "${redacted(text)}"`);
  };
  if (scheme !== "nats" && scheme !== "tls") return refuse();
  try {
    const login = at < 0 ? undefined : parseLogin(rest.slice(0, at));
    return {
      server: parseAddress(hasPort ? place : `${place}:${DEFAULT_PORT}`),
      isTls: scheme === "tls",
      ...(login && { login }),
    };
  } catch (error) {
    // No cause: it would quote what must not be shown.
    if (error instanceof UsageError || error instanceof URIError) return refuse();
    throw error;
  }
}

function parseLogin(text: string): NatsLogin {
  const colon = text.indexOf(":");
  if (colon < 0) return { token: decodeURIComponent(text) };
  const [user, pass] = [text.slice(0, colon), text.slice(colon + 1)].map(decodeURIComponent);
  return { user: user!, pass: pass! };
}

/** What was typed, with `***` for logins; all before the last one, for a password may hold a comma. */
function redacted(text: string): string {
  return text.replace(/^(\s*[a-z]+:\/\/)?.*@/is, "$1***@");
}
