/** HTTP/2 written by hand, for what no client library sends. @module */

import { Buffer } from "node:buffer";

export const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** RFC 9113, 4.1. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header with its texts unpacked (RFC 7541, 6.2); `isIndexed` puts it into the connection's table. */
export function header(name: string, value: string, isIndexed = false): Buffer {
  return Buffer.concat([
    Buffer.of(isIndexed ? 0x40 : 0),
    ...[name, value].flatMap((text) => [integer(7, text.length), Buffer.from(text)]),
  ]);
}

/** So many times the newest entry of the table: a byte each. */
export function references(count: number): Buffer {
  return Buffer.alloc(count, 0x80 | 62);
}

/** The headers of a call of gRPC. */
export function callHeaders(path: string): Buffer {
  return Buffer.concat([
    // :method POST, :scheme http
    Buffer.of(0x83, 0x86),
    ...Object.entries({
      ":path": path,
      ":authority": "test",
      "content-type": "application/grpc",
      "te": "trailers",
    }).map(([name, value]) => header(name, value)),
  ]);
}

/** RFC 7541, 5.1. */
function integer(prefixBits: number, value: number): Buffer {
  const max = 2 ** prefixBits - 1;
  if (value < max) return Buffer.of(value);
  const bytes = [max];
  for (value -= max; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 | 128);
  return Buffer.of(...bytes, value);
}
