/** The credentials of a worker's gRPC port that has TLS. @module */

import { Buffer } from "node:buffer";
import { ServerCredentials } from "@grpc/grpc-js";
import type { WorkerTls } from "./worker_security.ts";

/** Their certificate can be renewed, for which grpc-js leaves a door open to heirs. */
export class TlsCredentials extends ServerCredentials {
  constructor(tls: WorkerTls) {
    const made = sslCredentials(tls);
    super(made._getConstructorOptions(), made._getSecureContextOptions() ?? undefined);
  }

  /** Connections that are there go on. Whether clients need a certificate stays as it is. */
  renew(tls: WorkerTls): void {
    this.updateSecureContextOptions(sslCredentials(tls)._getSecureContextOptions());
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function sslCredentials({ pair: { cert, key }, clientCa }: WorkerTls): ServerCredentials {
  const pairs = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
  // Without authorities Deno 2.9 answers grpc-js's TLS server in plain text; as no certificate is asked for, any will do.
  return ServerCredentials.createSsl(Buffer.from(clientCa ?? cert), pairs, clientCa !== undefined);
}
