/** Credentials as gRPC takes them. @module */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { type ChannelCredentials, type ChannelOptions, credentials, Metadata } from "@grpc/grpc-js";
import type { TlsFiles } from "../../shared/security/tls_files.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import type { Credentials } from "./credentials.ts";

export interface SecureChannel {
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/**
 * Any name: TLS may only name hosts, and grpc-js names whatever it connects to, which Deno 2.9 refuses for an IP address.
 * Certificates are compared to the address itself.
 */
const NAME_FOR_IP = "worker.invalid";

export function secureChannel(address: string, tls: TlsFiles | undefined): SecureChannel {
  if (!tls) return { credentials: credentials.createInsecure(), options: {} };
  const { host } = parseAddress(address);
  const { ca, pair } = tls;
  const pem = (text: string | undefined) => text === undefined ? null : Buffer.from(text);
  const checkAddress = (_name: string, certificate: PeerCertificate) =>
    checkServerIdentity(host, certificate);
  return {
    credentials: credentials.createSsl(pem(ca), pem(pair?.key), pem(pair?.cert), {
      checkServerIdentity: checkAddress,
    }),
    options: isIP(host) === 0 ? {} : { "grpc.ssl_target_name_override": NAME_FOR_IP },
  };
}

/** Of every call. */
export function callMetadata({ token }: Credentials): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}
