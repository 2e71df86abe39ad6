/**
 * Checksums of tensors inside gRPC messages. TCP's own misses one damaged packet in 65,536, and without TLS nothing else
 * would notice: a wrong number looks like any other.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { TuttiError } from "../errors.ts";
import type { Fields } from "./fields.ts";

/** The two fields of a message that carries bytes. */
export function withChecksum(data: Uint8Array): { data: Uint8Array; crc32: number } {
  return { data, crc32: crc32(data) };
}

/**
 * A sender may leave the checksum out, as programs of others do.
 *
 * @throws {TuttiError} DATA_LOSS, `state: "damaged"`, if the bytes are not those that were sent
 */
export function checkChecksum(fields: Fields, data: Uint8Array): void {
  if (!fields.has("crc32")) return;
  const [claimed, actual] = [fields.get("crc32"), crc32(data)];
  if (claimed === actual) return;
  const field = fields.path("crc32");
  throw new TuttiError(
    "DATA_LOSS",
    `${field} must be ${actual}: current value is ${String(claimed)}; the bytes changed on the way`,
    { details: { field, state: "damaged" } },
  );
}
