/**
 * Where a worker may listen. Whoever can connect to a worker without credentials can use it; opening such a one to a network
 * takes a deliberate word.
 *
 * @module
 */

import { isIP } from "node:net";
import { UsageError } from "../shared/errors.ts";
import { type Address, formatAddress, isLoopback, parseAddress } from "../shared/wire/address.ts";
import { missingProtection, type WorkerSecurity } from "./security/worker_security.ts";

/**
 * @param insecure whether the user accepts that anyone who reaches the port can use the worker
 * @throws {UsageError} if the address is malformed, or not loopback without credentials and without `insecure`
 */
export function parseListenAddress(
  listen: string,
  insecure: boolean,
  security: WorkerSecurity,
): Address {
  const address = parseAddress(listen, { anyPort: true });
  const missing = missingProtection(security);
  if (!insecure && missing !== undefined && !isLoopback(address)) {
    throw new UsageError(
      `Listening on ${
        formatAddress(address)
      } needs ${missing}: without, anyone who reaches that port can ` +
        'use this worker. "tutti certs DIR" makes files to try it with; --insecure opens it nevertheless, ' +
        "for a network that you trust",
    );
  }
  return address;
}

/**
 * The address that a worker tells others.
 *
 * @param listening where it listens
 * @param advertise what the user says instead; port 0 stands for the port that was taken
 * @throws {UsageError} if the address is none that others could use
 */
export function advertisedAddress(listening: string, advertise: string | undefined): string {
  const own = parseAddress(listening, { anyPort: true });
  if (advertise === undefined) {
    if (!isWildcard(own)) return listening;
    throw new UsageError(
      `--nats needs --advertise HOST:PORT: this worker listens on all addresses (${listening}), and ` +
        "nobody can connect to that. Name the one at which coordinators reach it",
    );
  }
  const { host, port } = parseAddress(advertise, { anyPort: true });
  if (!isWildcard({ host })) return formatAddress({ host, port: port || own.port });
  throw new UsageError(
    `--advertise must be an address at which coordinators reach this worker: current value is "${advertise}"`,
  );
}

/** `0.0.0.0`, `::` and other spellings of "all addresses". */
function isWildcard({ host }: Pick<Address, "host">): boolean {
  return isIP(host) !== 0 && /^[0.:]+$/.test(host);
}
