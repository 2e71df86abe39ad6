/**
 * Where a worker may listen. There is no authentication yet, so whoever can connect can use the worker;
 * opening it to a network takes a deliberate word.
 *
 * @module
 */

import { UsageError } from "../shared/errors.ts";
import { type Address, formatAddress, isLoopback, parseAddress } from "../shared/wire/address.ts";

/**
 * @param insecure whether the user accepts that anyone who reaches the port can use the worker
 * @throws {UsageError} if the address is malformed, or not loopback without `insecure`
 */
export function parseListenAddress(listen: string, insecure: boolean): Address {
  const address = parseAddress(listen, { anyPort: true });
  if (!insecure && !isLoopback(address)) {
    throw new UsageError(
      `Listening on ${
        formatAddress(address)
      } needs --insecure: workers have no authentication yet, ` +
        "so anyone who reaches that port can use this one. Keep to 127.0.0.1, or use a private network",
    );
  }
  return address;
}
