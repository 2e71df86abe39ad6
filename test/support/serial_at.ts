/** What certificate a port of this machine shows to whoever connects now. @module */

import { connect } from "node:tls";
import type { KeyPair } from "../../shared/security/tls_files.ts";

/** @param pair of the client */
export function serialAt(port: number, pair?: KeyPair): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...pair });
  socket.on("secureConnect", () => {
    resolve(socket.getPeerCertificate().serialNumber);
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}
