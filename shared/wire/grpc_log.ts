/**
 * Keeps grpc-js from writing to the terminal on its own: what it would say arrives as a typed error too.
 * `GRPC_VERBOSITY` and `GRPC_TRACE` bring it back, as grpc-js documents.
 *
 * @module
 */

import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

export function quietGrpcLog(): void {
  if (Deno.env.get("GRPC_VERBOSITY") === undefined) setLogVerbosity(logVerbosity.NONE);
}
