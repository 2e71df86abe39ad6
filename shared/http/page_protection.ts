/** What a page that listens beyond this machine must have. @module */

import { UsageError } from "../errors.ts";
import type { KeyPair } from "../security/tls_files.ts";
import type { TokenGuard } from "../security/token_guard.ts";
import { type Address, formatAddress, isLoopback, parseAddress } from "../wire/address.ts";

/** What keeps strangers from a page. */
export interface PageProtection {
  /** Makes it HTTPS. */
  readonly tls?: KeyPair;
  readonly guard: TokenGuard;
}

/** What a port offers, in words for whoever opens it to the network. */
export interface PageOffer {
  /** As in "Serving on". */
  readonly doing: string;
  /** What does it nevertheless, as in "serves". */
  readonly does: string;
  /** Of the token that it asks for. */
  readonly role: string;
  /** What anyone on the network could do. */
  readonly risk: string;
}

/**
 * Reads the address that a page is to listen on.
 *
 * @param insecure whether the user accepts that anyone who reaches the port may use it
 * @throws {UsageError} if the address is malformed, or not loopback without TLS, tokens and `insecure`
 */
export function parsePageAddress(
  text: string,
  insecure: boolean,
  { tls, guard }: PageProtection,
  { doing, does, role, risk }: PageOffer,
): Address {
  const address = parseAddress(text, { anyPort: true });
  if (insecure || (tls && guard.isOn) || isLoopback(address)) return address;
  const missing = [
    ...(tls ? [] : ["--tls-cert and --tls-key"]),
    ...(guard.isOn ? [] : [`--token-file (with a token of role ${role})`]),
  ].join(" and ");
  throw new UsageError(
    `${doing} ${
      formatAddress(address)
    } needs ${missing}: without, anyone on the network can ${risk}. ` +
      `--insecure ${does} nevertheless, on a network that you trust`,
  );
}
