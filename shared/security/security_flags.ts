/**
 * `--tls-cert`, `--tls-key`, `--tls-ca` and `--token-file`: the same on both ends of a call. The environment sets them
 * for all commands at once.
 *
 * @module
 */

import { Option } from "commander";
import { headingOf } from "../terminal/help_groups.ts";
import type { TlsPaths } from "./tls_files.ts";
import type { TokenFlags } from "./token_file.ts";

export interface SecurityFlags extends TlsPaths, TokenFlags {
  /** Whether to go on where the network can listen or call. */
  readonly insecure?: boolean;
}

export interface SecurityTexts {
  readonly cert: string;
  readonly ca: string;
  readonly token: string;
  readonly insecure: string;
}

export function securityOptions({ cert, ca, token, insecure }: SecurityTexts): Option[] {
  return [
    new Option("--tls-cert <file>", cert).env("TUTTI_TLS_CERT"),
    new Option("--tls-key <file>", "private key of --tls-cert (PEM)").env("TUTTI_TLS_KEY"),
    new Option("--tls-ca <file>", ca).env("TUTTI_TLS_CA"),
    new Option("--token-file <file>", `${token}; without it, TUTTI_TOKEN is read`),
    new Option("--insecure", insecure).default(false),
  ].map((option) => option.helpGroup(headingOf("Security")));
}

/** Variables that a process must not hand down to one that has credentials of its own, or none. */
export const SECURITY_ENV = ["TUTTI_TLS_CERT", "TUTTI_TLS_KEY", "TUTTI_TLS_CA", "TUTTI_TOKEN"];
