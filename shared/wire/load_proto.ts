/**
 * Loads `proto/tutti/v1` at run time. Both ends, health and reflection take their definitions from here;
 * message objects have camelCase fields, enums as names, 64-bit integers as numbers (`fields.ts` refuses
 * those beyond 2^53) and oneofs with the name of the field that is set.
 *
 * @module
 */

import type { ServiceDefinition, UntypedHandleCall } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { protoPath as healthProtoPath } from "grpc-health-check";
import { fileURLToPath } from "node:url";

const PROTO_ROOT = fileURLToPath(new URL("../../proto", import.meta.url));
const WORKER_PROTO = "tutti/v1/worker.proto";

/** Full name of the worker's service, as health checks and reflection spell it. */
export const WORKER_SERVICE = "tutti.v1.WorkerService";

let workerPackage: PackageDefinition | undefined;

/** The worker's service: paths, and codecs between bytes and message objects. */
export function workerService(): ServiceDefinition<Record<string, UntypedHandleCall>> {
  workerPackage ??= loadSync(WORKER_PROTO, {
    includeDirs: [PROTO_ROOT],
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return workerPackage[WORKER_SERVICE] as unknown as ServiceDefinition<
    Record<string, UntypedHandleCall>
  >;
}

/**
 * What reflection shows: our services and health. Loaded apart, because camelCase fields would reach the
 * descriptors, and tools such as grpcurl would then refuse the names that the .proto files give.
 */
export function reflectedPackage(): PackageDefinition {
  const ours = loadSync(WORKER_PROTO, { includeDirs: [PROTO_ROOT], keepCase: true });
  return { ...ours, ...loadSync(healthProtoPath, { keepCase: true }) };
}
