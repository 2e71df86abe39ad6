/**
 * The files of TLS: a certificate with its key, and the authority that vouches for the other end. They are read and checked
 * when a process starts, so that what is wrong with them is said before anything listens or connects.
 *
 * @module
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { FormatError, UsageError } from "../errors.ts";
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
  now = new Date(),
): Promise<TlsFiles | undefined> {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const [given, missing] = tlsCert === undefined
      ? ["--tls-key", "--tls-cert"]
      : ["--tls-cert", "--tls-key"];
    throw new UsageError(`${given} needs ${missing}: a certificate and its key come together`);
  }
  if (tlsCert === undefined && tlsCa === undefined) return undefined;
  const pair = tlsCert === undefined ? undefined : await readPair(tlsCert, tlsKey!, warn, now);
  const ca = tlsCa === undefined ? undefined : await readAuthorities(tlsCa, now);
  return { ...(pair && { pair }), ...(ca !== undefined && { ca }) };
}

async function readPair(
  certPath: string,
  keyPath: string,
  warn: (text: string) => void,
  now: Date,
): Promise<KeyPair> {
  const cert = await readText("--tls-cert", certPath);
  // The first one is the process's own; those that follow lead to the authority.
  const [own] = certificatesOf("--tls-cert", certPath, cert);
  checkDates("--tls-cert", certPath, own!, now);
  const key = await readText("--tls-key", keyPath);
  await checkPrivate(keyPath, warn);
  if (!own!.checkPrivateKey(parseKey(keyPath, key))) {
    throw fileError(
      "--tls-key",
      keyPath,
      `it must be the key of the certificate in "${certPath}", and is another one's`,
    );
  }
  return { cert, key };
}

async function readAuthorities(path: string, now: Date): Promise<string> {
  const text = await readText("--tls-ca", path);
  const certificates = certificatesOf("--tls-ca", path, text);
  const authorities = certificates.filter(({ ca }) => ca);
  if (authorities.length === 0) {
    throw fileError(
      "--tls-ca",
      path,
      `it must be the certificate of an authority (${subjectOf(certificates[0]!)} is none)`,
    );
  }
  // A bundle may hold old ones beside those that are good.
  if (!authorities.some(({ validToDate }) => validToDate > now)) {
    checkDates("--tls-ca", path, authorities[0]!, now);
  }
  return text;
}

async function readText(flag: string, path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const isMissing = (cause as { code?: string }).code === "ENOENT";
    throw fileError(
      flag,
      path,
      isMissing ? "there is no such file" : "it cannot be read",
      cause,
    );
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

function parseKey(path: string, text: string): KeyObject {
  // No cause: what a parser says of a key may quote it.
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw fileError("--tls-key", path, 'it must be PEM with "-----BEGIN PRIVATE KEY-----"');
  }
  if (text.includes("ENCRYPTED")) {
    throw fileError("--tls-key", path, "it is encrypted: a key without a passphrase is needed");
  }
  try {
    return createPrivateKey(text);
  } catch {
    throw fileError("--tls-key", path, "its key cannot be decoded");
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
