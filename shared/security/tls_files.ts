/**
 * The files of TLS: a certificate with its key, and the authority that vouches for the other end. They are read and checked
 * when a process starts, so that what is wrong with them is said before anything listens or connects.
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { FormatError, UsageError } from "../errors.ts";
import { readRegularText } from "../regular_file.ts";
import { checkPrivate } from "./private_file.ts";

/** Paths, as flags, the environment or an ensemble file give them. */
export interface TlsPaths {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/** A certificate chain and its key, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a process shows, and whom it believes. */
export interface TlsFiles {
  readonly pair?: KeyPair;
  /** Certificates of authorities, PEM. */
  readonly ca?: string;
}

/** What the files are called in messages. */
export interface TlsFlagNames {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const TLS_FLAGS: TlsFlagNames = { cert: "--tls-cert", key: "--tls-key", ca: "--tls-ca" };

/** Far more than chains and bundles of authorities take. */
const MAX_BYTES = 2 ** 20;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param warn told of a key that others can read
 * @returns undefined if no path is given
 * @throws {UsageError} if only one of certificate and key is given
 * @throws {FormatError} if a file cannot be read, is not PEM, has expired, or the key belongs to another certificate
 */
export async function readTlsFiles(
  { tlsCert, tlsKey, tlsCa }: TlsPaths,
  warn: (text: string) => void,
  flags: TlsFlagNames = TLS_FLAGS,
): Promise<TlsFiles | undefined> {
  // An empty variable of the environment names no file.
  if (!tlsCert !== !tlsKey) {
    const [given, missing] = tlsCert ? [flags.cert, flags.key] : [flags.key, flags.cert];
    throw new UsageError(`${given} needs ${missing}: a certificate and its key come together`);
  }
  if (!tlsCert && !tlsCa) return undefined;
  const now = new Date();
  const pair = tlsCert ? await readPair(tlsCert, tlsKey!, { warn, now, flags }) : undefined;
  const ca = tlsCa ? await readAuthorities(tlsCa, { now, flags }) : undefined;
  return { ...(pair && { pair }), ...(ca !== undefined && { ca }) };
}

interface Check {
  readonly now: Date;
  readonly flags: TlsFlagNames;
}

async function readPair(
  certPath: string,
  keyPath: string,
  { warn, now, flags }: Check & { readonly warn: (text: string) => void },
): Promise<KeyPair> {
  const cert = await readText(flags.cert, certPath);
  // The first one is the process's own; those that follow lead to the authority.
  const [own] = certificatesOf(flags.cert, certPath, cert);
  checkDates(flags.cert, certPath, own!, now);
  const key = await readText(flags.key, keyPath);
  await checkPrivate(keyPath, warn);
  if (!own!.checkPrivateKey(parseKey(flags.key, keyPath, key))) {
    throw fileError(
      flags.key,
      keyPath,
      `it must be the key of the certificate in "${certPath}", and is another one's`,
    );
  }
  if (!isUsable({ cert, key })) {
    throw fileError(
      flags.key,
      keyPath,
      "TLS takes no key of its kind: RSA of 2048 bits and P-256 will do",
    );
  }
  return { cert, key };
}

/** Whether all that has TLS here would take it, which is pickier than what decodes keys. */
function isUsable(pair: KeyPair): boolean {
  try {
    createSecureContext(pair);
    Deno.createHttpClient({ ...pair }).close();
    return true;
  } catch {
    return false; // Why is not kept: it may quote the key.
  }
}

async function readAuthorities(path: string, { now, flags: { ca: flag } }: Check): Promise<string> {
  const text = await readText(flag, path);
  const certificates = certificatesOf(flag, path, text);
  const authorities = certificates.filter(({ ca }) => ca);
  if (authorities.length === 0) {
    throw fileError(
      flag,
      path,
      `it must be the certificate of an authority (${subjectOf(certificates[0]!)} is none)`,
    );
  }
  // A bundle may hold old ones beside those that are good.
  if (!authorities.some(({ validToDate }) => validToDate > now)) {
    checkDates(flag, path, authorities[0]!, now);
  }
  return text;
}

async function readText(flag: string, path: string): Promise<string> {
  let text: string;
  try {
    text = await readRegularText(path);
  } catch (cause) {
    const isMissing = cause instanceof Deno.errors.NotFound;
    const reason = cause instanceof FormatError ? cause.message : "it cannot be read";
    throw fileError(flag, path, isMissing ? "there is no such file" : reason, cause);
  }
  if (text.length > MAX_BYTES) {
    throw fileError(flag, path, `it must have at most ${MAX_BYTES} bytes`);
  }
  return text;
}

function certificatesOf(flag: string, path: string, text: string): X509Certificate[] {
  const found = text.match(CERTIFICATE) ?? [];
  try {
    if (found.length > 0) return found.map((pem) => new X509Certificate(pem));
  } catch (cause) {
    throw fileError(flag, path, "its certificate cannot be decoded", cause);
  }
  throw fileError(flag, path, 'it must be PEM with "-----BEGIN CERTIFICATE-----"');
}

function parseKey(flag: string, path: string, text: string): KeyObject {
  // No cause: what a parser says of a key may quote it.
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw fileError(flag, path, 'it must be PEM with "-----BEGIN PRIVATE KEY-----"');
  }
  if (text.includes("ENCRYPTED")) {
    throw fileError(flag, path, "it is encrypted: a key without a passphrase is needed");
  }
  try {
    return createPrivateKey(text);
  } catch {
    throw fileError(flag, path, "its key cannot be decoded");
  }
}

function checkDates(flag: string, path: string, certificate: X509Certificate, now: Date): void {
  const { validFromDate, validToDate } = certificate;
  const subject = subjectOf(certificate);
  if (validToDate <= now) {
    const when = validToDate.toISOString();
    throw fileError(flag, path, `the certificate of ${subject} expired at ${when}: renew it`);
  }
  if (validFromDate > now) {
    const when = validFromDate.toISOString();
    throw fileError(flag, path, `the certificate of ${subject} is not valid before ${when}`);
  }
}

function subjectOf({ subject }: X509Certificate): string {
  return `"${subject.replaceAll("\n", ", ")}"`;
}

function fileError(flag: string, path: string, problem: string, cause?: unknown): FormatError {
  return new FormatError(`${flag} "${path}" cannot be used: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { file: path, flag },
  });
}
