/**
 * A certificate authority of one's own, for tests and trials. Keys are P-256, as all that speak TLS know it.
 *
 * @module
 */

// The library finds its parts with decorators.
import "reflect-metadata";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { UsageError } from "../../shared/errors.ts";
import type { KeyPair } from "../../shared/security/tls_files.ts";

export interface Validity {
  readonly from: Date;
  readonly to: Date;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOST_NAME = /^(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/i;

export class Authority {
  /** PEM */
  readonly cert: string;
  readonly key: string;
  readonly #certificate: X509Certificate;
  readonly #signingKey: CryptoKey;

  private constructor(certificate: X509Certificate, signingKey: CryptoKey, key: string) {
    this.cert = pemOf(certificate);
    this.key = key;
    this.#certificate = certificate;
    this.#signingKey = signingKey;
  }

  static async create(name: string, { from, to }: Validity): Promise<Authority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: from,
      notAfter: to,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new Authority(certificate, keys.privateKey, await keyPem(keys));
  }

  /**
   * @param hosts names and IP addresses that it is good for
   * @param isClient whether it lets in where certificates are asked for, too: a worker's must not, for whoever breaks into
   * one worker would be a client of all others
   * @throws {UsageError} if a host is neither
   */
  async issue(
    name: string,
    hosts: readonly string[],
    { from, to }: Validity,
    { isClient = true } = {},
  ): Promise<KeyPair> {
    const names = hosts.map(generalName);
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: ALGORITHM,
      notBefore: from,
      notAfter: to,
      extensions: [
        new BasicConstraintsExtension(false),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([
          ExtendedKeyUsage.serverAuth,
          ...(isClient ? [ExtendedKeyUsage.clientAuth] : []),
        ]),
        new SubjectAlternativeNameExtension(names),
      ],
    });
    return { cert: pemOf(certificate), key: await keyPem(keys) };
  }
}

function generalName(host: string): JsonGeneralName {
  if (isIP(host)) return { type: "ip", value: host };
  if (HOST_NAME.test(host)) return { type: "dns", value: host };
  throw new UsageError(`--host must be names and IP addresses: current value is "${host}"`);
}

async function newKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function keyPem({ privateKey }: CryptoKeyPair): Promise<string> {
  const der = await crypto.subtle.exportKey("pkcs8", privateKey);
  return PemConverter.encode(der, "PRIVATE KEY") + "\n";
}

function pemOf(certificate: X509Certificate): string {
  return certificate.toString("pem") + "\n";
}
