/** All secrets of a process that may be changed while it runs: certificates and tokens. @module */

import type { SecurityFlags } from "./security_flags.ts";
import type { TlsFiles } from "./tls_files.ts";
import type { RenewalOptions } from "./watch_files.ts";
import { type TlsWatchOptions, watchTlsFiles } from "./watch_tls_files.ts";
import { type TokenWatchOptions, watchTokenFile } from "./watch_token_file.ts";

export interface SecretsWatchOptions extends RenewalOptions {
  readonly renewTls: TlsWatchOptions["renew"];
  readonly renewTokens: TokenWatchOptions["renew"];
}

/**
 * Looks until the result is disposed of, and keeps no process alive.
 *
 * @param used what was read of the files of TLS when the process started, if there are any
 */
export function watchSecrets(
  flags: SecurityFlags,
  used: TlsFiles | undefined,
  { renewTls, renewTokens, ...options }: SecretsWatchOptions,
): Disposable {
  const watches = new DisposableStack();
  watches.use(watchTokenFile(flags, { renew: renewTokens, ...options }));
  if (used) watches.use(watchTlsFiles(flags, used, { renew: renewTls, ...options }));
  return watches;
}
