/**
 * The frame of the socket planes: 32 bytes of header, the payload, and the payload's CRC-32. All numbers are little-endian.
 *
 * ```
 *  0 magic "TuPl"    4 version, kind, dtype, 0    8 sequence u32    12 zero u32
 * 16 payload bytes u64                           24 zero u32       28 CRC-32 of bytes 0 to 27
 * ```
 *
 * The receiver knows every field of the frame that must come, from the control message that announced it. So a header is
 * not parsed but compared, and nothing that a peer sends decides how much is allocated or read. The checksum of the
 * payload comes last, so that the first bytes can leave before the last ones are known.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { mismatch, type PlaneError } from "./plane_error.ts";
import type { WireDtype } from "../codec/wire_dtype.ts";

export const HEADER_BYTES = 32;
export const TRAILER_BYTES = 4;

const MAGIC = 0x6c507554; // "TuPl" in memory.
const VERSION = 1;
const KINDS = { hello: 1, ready: 2, tensor: 3 } as const;
const DTYPES: Readonly<Record<WireDtype | "none", number>> = {
  none: 0,
  f32: 1,
  f16: 2,
  bf16: 3,
  int8: 4,
};
const MAX_SEQUENCE = 2 ** 32 - 1;

export type FrameKind = keyof typeof KINDS;

export interface FrameHeader {
  readonly kind: FrameKind;
  /** Of the elements; "none" unless it is a tensor. */
  readonly dtype: WireDtype | "none";
  /** The number of the tensor in its direction of the connection, a u32. */
  readonly sequence: number;
  readonly payloadBytes: number;
}

/** @throws {PlaneError} INVALID_ARGUMENT if a number does not fit its field */
export function encodeHeader(header: FrameHeader, target: Uint8Array): void {
  checkHeaderRange(header);
  const view = viewOf(target);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, VERSION);
  view.setUint8(5, KINDS[header.kind]);
  view.setUint8(6, DTYPES[header.dtype]);
  view.setUint8(7, 0);
  view.setUint32(8, header.sequence, true);
  view.setUint32(12, 0, true);
  view.setBigUint64(16, BigInt(header.payloadBytes), true);
  view.setUint32(24, 0, true);
  view.setUint32(28, crc32(target.subarray(0, 28)), true);
}

/**
 * Whether `bytes` are the header that must come.
 *
 * @throws {PlaneError} DATA_LOSS if its checksum is wrong, INVALID_ARGUMENT if it is another header; the message and
 * the details name the first field that differs, its value and the expected one
 */
export function checkHeader(bytes: Uint8Array, expected: FrameHeader): void {
  const view = viewOf(bytes);
  const magic = view.getUint32(0, true);
  // Before the checksum, which only a frame has.
  if (magic !== MAGIC) throw refusal("magic", hex(MAGIC), hex(magic));
  const checksum = crc32(bytes.subarray(0, 28));
  const claimed = view.getUint32(28, true);
  if (claimed !== checksum) {
    throw mismatch("DATA_LOSS", "Frame header CRC-32", hex(checksum), hex(claimed));
  }
  const version = view.getUint8(4);
  if (version !== VERSION) throw refusal("version", VERSION, version);
  const kind = view.getUint8(5);
  if (kind !== KINDS[expected.kind]) {
    throw refusal("kind", expected.kind, nameOf(KINDS, kind));
  }
  const dtype = view.getUint8(6);
  if (dtype !== DTYPES[expected.dtype]) {
    throw refusal("dtype", expected.dtype, nameOf(DTYPES, dtype));
  }
  const sequence = view.getUint32(8, true);
  if (sequence !== expected.sequence) throw refusal("sequence", expected.sequence, sequence);
  const payloadBytes = view.getBigUint64(16, true);
  if (payloadBytes !== BigInt(expected.payloadBytes)) {
    throw refusal("payload bytes", expected.payloadBytes, String(payloadBytes));
  }
  const reserved = view.getUint8(7) | view.getUint32(12, true) | view.getUint32(24, true);
  if (reserved !== 0) throw refusal("reserved bits", 0, hex(reserved >>> 0));
}

/** @param checksum CRC-32 of the payload */
export function encodeTrailer(checksum: number, target: Uint8Array): void {
  viewOf(target).setUint32(0, checksum, true);
}

/** @throws {PlaneError} DATA_LOSS if the payload that was sent is not the one that came */
export function checkTrailer(bytes: Uint8Array, checksum: number): void {
  const claimed = viewOf(bytes).getUint32(0, true);
  if (claimed === checksum) return;
  throw mismatch("DATA_LOSS", "Frame payload CRC-32", hex(checksum), hex(claimed));
}

/** @throws {PlaneError} INVALID_ARGUMENT */
export function checkHeaderRange({ sequence, payloadBytes }: FrameHeader): void {
  if (!Number.isSafeInteger(sequence) || sequence < 0 || sequence > MAX_SEQUENCE) {
    throw refusal("sequence", `0 to ${MAX_SEQUENCE}`, sequence);
  }
  if (!Number.isSafeInteger(payloadBytes) || payloadBytes < 0) {
    throw refusal("payload bytes", "a whole number >= 0", payloadBytes);
  }
}

function refusal(field: string, expected: string | number, value: string | number): PlaneError {
  return mismatch("INVALID_ARGUMENT", `Frame ${field}`, expected, value);
}

function nameOf(codes: Readonly<Record<string, number>>, code: number): string | number {
  return Object.keys(codes).find((name) => codes[name] === code) ?? code;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
