/**
 * The first frame in each direction of a plane's connection, two values of 16 bytes each: the client's hello brings the
 * token that the session handed out and a nonce; the server's ready brings that nonce back, which proves that the
 * client's bytes arrive, and a nonce of its own.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { readFully, writeFully } from "./conn_io.ts";
import {
  checkHeader,
  checkTrailer,
  encodeHeader,
  encodeTrailer,
  type FrameHeader,
  HEADER_BYTES,
  TRAILER_BYTES,
} from "./frame.ts";
import { mismatch } from "./plane_error.ts";

/** Of a token and of a nonce. */
export const TOKEN_BYTES = 16;

const PAYLOAD_BYTES = 2 * TOKEN_BYTES;
const TRAILER_START = HEADER_BYTES + PAYLOAD_BYTES;

export type Greeting = readonly [
  tokenOrEcho: Uint8Array<ArrayBuffer>,
  nonce: Uint8Array<ArrayBuffer>,
];

export async function writeGreeting(
  conn: Deno.Conn,
  kind: "hello" | "ready",
  [tokenOrEcho, nonce]: Greeting,
): Promise<void> {
  const bytes = new Uint8Array(TRAILER_START + TRAILER_BYTES);
  encodeHeader(headerOf(kind), bytes);
  bytes.set(tokenOrEcho, HEADER_BYTES);
  bytes.set(nonce, HEADER_BYTES + TOKEN_BYTES);
  const checksum = crc32(bytes.subarray(HEADER_BYTES, TRAILER_START));
  encodeTrailer(checksum, bytes.subarray(TRAILER_START));
  await writeFully(conn, bytes);
}

/** @throws {PlaneError} INVALID_ARGUMENT, DATA_LOSS or UNAVAILABLE if no such greeting comes */
export async function readGreeting(conn: Deno.Conn, kind: "hello" | "ready"): Promise<Greeting> {
  const bytes = new Uint8Array(TRAILER_START + TRAILER_BYTES);
  const header = bytes.subarray(0, HEADER_BYTES);
  await readFully(conn, header);
  checkHeader(header, headerOf(kind));
  await readFully(conn, bytes.subarray(HEADER_BYTES));
  checkTrailer(bytes.subarray(TRAILER_START), crc32(bytes.subarray(HEADER_BYTES, TRAILER_START)));
  const nonceStart = HEADER_BYTES + TOKEN_BYTES;
  return [bytes.slice(HEADER_BYTES, nonceStart), bytes.slice(nonceStart, TRAILER_START)];
}

export function randomToken(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
}

/** A copy. @throws {PlaneError} INVALID_ARGUMENT */
export function checkToken(token: Uint8Array): Uint8Array<ArrayBuffer> {
  if (token.length === TOKEN_BYTES) return new Uint8Array(token);
  throw mismatch("INVALID_ARGUMENT", "Bytes of a plane's token", TOKEN_BYTES, token.length);
}

function headerOf(kind: "hello" | "ready"): FrameHeader {
  return { kind, dtype: "none", sequence: 0, payloadBytes: PAYLOAD_BYTES };
}
