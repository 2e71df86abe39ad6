/** The credentials of a worker's gRPC port. @module */

import { Buffer } from "node:buffer";
import { ServerCredentials } from "@grpc/grpc-js";
import type { WorkerTls } from "./worker_security.ts";

export function serverCredentials(tls: WorkerTls | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  const { pair: { cert, key }, clientCa } = tls;
  const pairs = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
  // Without authorities Deno 2.9 answers grpc-js's TLS server in plain text; as no certificate is asked for, any will do.
  return ServerCredentials.createSsl(Buffer.from(clientCa ?? cert), pairs, clientCa !== undefined);
}
