/**
 * The `[security]` table of an ensemble file: with what its workers are called, and with what `tutti up` starts those of
 * this machine. Paths, never secrets; flags win over them.
 *
 * @example
 * ```toml
 * [security]
 * tls_ca = "certs/ca.pem"
 * tls_cert = "certs/coordinator.pem"  # where workers ask for certificates
 * tls_key = "certs/coordinator.key"
 * token_file = "certs/client.token"   # where workers ask for tokens
 *
 * [security.workers]
 * tls_cert = "certs/worker.pem"
 * tls_key = "certs/worker.key"
 * tls_ca = "certs/ca.pem"             # optional: asks for certificates
 * token_file = "certs/tokens"         # optional: asks for tokens
 * ```
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import type { SecurityFlags } from "../../shared/security/security_flags.ts";
import type { TomlFields } from "../../shared/toml/toml_fields.ts";

/** Absolute paths. */
export type SecurityPaths = Omit<SecurityFlags, "insecure">;

export interface EnsembleSecurity extends SecurityPaths {
  /** Of workers that are started on this machine. */
  readonly workers?: SecurityPaths;
}

const KEYS = {
  tlsCert: "tls_cert",
  tlsKey: "tls_key",
  tlsCa: "tls_ca",
  tokenFile: "token_file",
} as const;

/** @throws {FormatError} naming file, key, value and what was expected */
export function readSecurity(fields: TomlFields): { readonly security?: EnsembleSecurity } {
  const table = fields.child("security");
  if (!table) return {};
  const own = Object.values(KEYS);
  table.refuseUnknown([...own, "workers"]);
  const workers = table.child("workers");
  workers?.refuseUnknown(own);
  return { security: { ...paths(table), ...(workers && { workers: paths(workers) }) } };
}

function paths(fields: TomlFields): SecurityPaths {
  const given = Object.entries(KEYS).filter(([, key]) => fields.has(key));
  return Object.fromEntries(given.map(([name, key]) => {
    const path = fields.string(key, "the path of a file");
    return [name, resolve(dirname(fields.file), path)];
  }));
}
