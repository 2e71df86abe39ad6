/**
 * Addresses of workers: `HOST:PORT`, with brackets around an IPv6 host.
 *
 * @module
 */

import { isIP, isIPv4, isIPv6 } from "node:net";
import { UsageError } from "../errors.ts";

export interface Address {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  /** TCP port. 0, where allowed, lets the system choose one. */
  readonly port: number;
}

/** The last TCP port. */
export const MAX_PORT = 65535;
const MAX_HOST_LENGTH = 253;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** Whether `host` is a DNS name or an IP address. */
function isHost(host: string): boolean {
  if (isIP(host)) return true;
  const labels = host.replace(/\.$/, "").split(".");
  // A name of digits and dots only is a mistyped IPv4 address.
  return host.length <= MAX_HOST_LENGTH && labels.every((label) => LABEL.test(label)) &&
    !/^[0-9.]+$/.test(host);
}

/**
 * Reads `127.0.0.1:7070`, `gpu-3.example:7070` or `[::1]:7070`.
 *
 * @param options `anyPort` also accepts port 0, for an address to listen on
 * @throws {UsageError} if the text is no such address
 */
export function parseAddress(text: string, options: { anyPort?: boolean } = {}): Address {
  const lowest = options.anyPort ? 0 : 1;
  const expected = `Address must be HOST:PORT with a port from ${lowest} to ${MAX_PORT}`;
  const match = /^(?:\[([^\[\]]*)\]|([^\[\]:]*)):(\d{1,5})$/.exec(text);
  if (match === null) {
    const hint = text.startsWith("unix:")
      ? " (Unix sockets are not supported as addresses)"
      : isIPv6(text) || /:.*:/.test(text) && !text.includes("[")
      ? " (an IPv6 host needs brackets: [::1]:7070)"
      : isHost(text)
      ? ` (the port is missing: ${text}:7070)`
      : "";
    throw new UsageError(`${expected}: current value is "${text}"${hint}`);
  }
  const [, bracketed, plain, digits] = match;
  const host = bracketed ?? plain!;
  const port = Number(digits);
  const isHostGood = bracketed === undefined ? isHost(host) : isIPv6(host);
  if (!isHostGood || port < lowest || port > MAX_PORT) {
    throw new UsageError(`${expected}: current value is "${text}"`);
  }
  return { host, port };
}

/** The reverse of `parseAddress`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach the address. Names other than `localhost` count as remote. */
export function isLoopback({ host }: Address): boolean {
  if (isIPv4(host)) return host.startsWith("127.");
  return host.toLowerCase() === "localhost" || host === "::1";
}
