/**
 * What keeps strangers from a worker: TLS, certificates that clients must have, and tokens.
 *
 * @module
 */

import { UsageError } from "../../shared/errors.ts";
import type { PageProtection } from "../../shared/http/page_protection.ts";
import type { SecurityFlags } from "../../shared/security/security_flags.ts";
import { type KeyPair, readTlsFiles, type TlsFiles } from "../../shared/security/tls_files.ts";
import { readTokens } from "../../shared/security/token_file.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";

export interface WorkerSecurity {
  readonly tls?: WorkerTls;
  readonly guard: TokenGuard;
}

export interface WorkerTls {
  readonly pair: KeyPair;
  /** Authorities one of which must have signed a client's certificate; without them clients need none. */
  readonly clientCa?: string;
}

export const NO_SECURITY: WorkerSecurity = { guard: new TokenGuard([]) };

/**
 * @param warn told of files that others can read
 * @throws {UsageError} or {FormatError} as `readTlsFiles()` and `readTokens()` do
 */
export async function readWorkerSecurity(
  flags: SecurityFlags,
  warn: (text: string) => void,
): Promise<WorkerSecurity> {
  const guard = new TokenGuard(await readTokens(flags, warn));
  const files = await readTlsFiles(flags, warn);
  return { guard, ...(files && { tls: workerTls(files) }) };
}

/** @throws {UsageError} if there is no certificate to show */
export function workerTls({ pair, ca }: TlsFiles): WorkerTls {
  if (!pair) {
    throw new UsageError(
      "--tls-ca needs --tls-cert and --tls-key: a worker that asks for certificates shows its own",
    );
  }
  return { pair, ...(ca !== undefined && { clientCa: ca }) };
}

/** What pages are shown with. Certificates of clients do not open them: few that scrape have one. */
export function pageProtection({ tls, guard }: WorkerSecurity): PageProtection {
  return { guard, ...(tls && { tls: tls.pair }) };
}

/** What is missing before others may reach the worker, or undefined. */
export function missingProtection({ tls, guard }: WorkerSecurity): string | undefined {
  if (!tls) return "--tls-cert and --tls-key, and --tls-ca or --token-file";
  if (tls.clientCa === undefined && !guard.isOn) {
    return "--tls-ca (clients then need a certificate) or --token-file (they need a token)";
  }
  return undefined;
}
