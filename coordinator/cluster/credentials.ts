/**
 * What this process shows to workers, and how it knows them. A process is one party: its flags or the ensemble file say
 * once which one, and every connection asks here. Workers that are private to this machine have no credentials.
 *
 * @module
 */

import { UsageError } from "../../shared/errors.ts";
import { readTlsFiles, type TlsFiles } from "../../shared/security/tls_files.ts";
import { readTokens, type Token } from "../../shared/security/token_file.ts";
import type { SecurityFlags } from "../../shared/security/security_flags.ts";
import { watchSecrets } from "../../shared/security/watch_secrets.ts";
import { roleLogger } from "../../shared/telemetry/logging.ts";
import { isLoopback, parseAddress } from "../../shared/wire/address.ts";

export interface Credentials {
  /** Where workers have TLS. */
  readonly tls?: TlsFiles;
  /** Shown with every call. */
  readonly token?: string;
  /** Whether the token may travel to other hosts in plain text. */
  readonly isInsecure?: boolean;
}

const NONE: Credentials = {};
let own: Credentials = NONE;
const openWorkers = new Set<string>();

/**
 * From now on connections use these, until the result is disposed of.
 *
 * @param credentials of the whole process
 */
export function useCredentials(credentials: Credentials): Disposable {
  const before = own;
  own = credentials;
  return { [Symbol.dispose]: () => void (own = before) };
}

/**
 * Connections and calls that are made from now on use what is in the files then: a coordinator may run for longer than its
 * certificate or its token is good.
 *
 * @param flags with which the credentials were read
 * @returns ends that
 */
export function renewCredentials(
  flags: SecurityFlags,
  { intervalMs }: { readonly intervalMs?: number } = {},
): Disposable {
  const logger = roleLogger("coordinator");
  return watchSecrets(flags, own.tls, {
    renewTls: (tls) => void (own = { ...own, tls }),
    renewTokens: (tokens) => {
      const before = own.token;
      own = { ...own, token: strongest(tokens).secret };
      return own.token !== before;
    },
    warn: (text) => logger.warn`${text}`,
    note: (text) => logger.info`${text}`,
    ...(intervalMs !== undefined && { intervalMs }),
  });
}

/** Whether this side has anything to show, or an authority to know workers by. */
export function hasOwnCredentials(): boolean {
  return own.tls !== undefined || own.token !== undefined;
}

/** A worker on this machine that was started without credentials: it is called without. */
export function addOpenWorker(address: string): void {
  openWorkers.add(address);
}

/**
 * @param address HOST:PORT of a worker
 * @throws {UsageError} if a token would travel in plain text where others can read it
 */
export function credentialsFor(address: string): Credentials {
  if (openWorkers.has(address)) return NONE;
  const { tls, token, isInsecure } = own;
  if (token !== undefined && !tls && !isInsecure && !isLoopback(parseAddress(address))) {
    throw new UsageError(
      `A token for worker ${address} needs --tls-ca, or everyone on the way can read it. ` +
        "--insecure sends it nevertheless, on a network that you trust",
    );
  }
  return own;
}

/**
 * @param warn told of files that others can read
 * @throws {UsageError} or {FormatError} naming the file and what is wrong with it
 */
export async function readCredentials(
  flags: SecurityFlags,
  warn: (text: string) => void,
): Promise<Credentials> {
  const tls = await readTlsFiles(flags, warn);
  const tokens = await readTokens(flags, warn);
  return {
    ...(tls && { tls }),
    ...(tokens.length > 0 && { token: strongest(tokens).secret }),
    ...(flags.insecure !== undefined && { isInsecure: flags.insecure }),
  };
}

/** A file may be a worker's, with tokens of all roles: the first one that may do the most is shown. */
function strongest(tokens: readonly Token[]): Token {
  return tokens.find(({ role }) => role === "admin") ??
    tokens.find(({ role }) => role === "client") ?? tokens[0]!;
}
