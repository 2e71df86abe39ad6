/** Reads HTTP/2 frames (RFC 9113, section 4.1) out of the pieces in which a connection's bytes arrive. @module */

import { Buffer } from "node:buffer";

export const FRAME = { HEADERS: 1, PUSH_PROMISE: 5, GOAWAY: 7, CONTINUATION: 9 } as const;

export const FLAG = { END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** What a client says before its first frame. */
export const PREFACE_BYTES = 24;

const FRAME_HEADER_BYTES = 9;

/** Longest frame that a peer may send as long as nobody has agreed on more. */
const MAX_FRAME_BYTES = 16_384;

const HEADER_TYPES: ReadonlySet<number> = new Set([
  FRAME.HEADERS,
  FRAME.PUSH_PROMISE,
  FRAME.CONTINUATION,
]);

export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** Of frames with headers; empty for all others, which may be long. */
  readonly payload: Uint8Array;
}

const NOTHING = new Uint8Array(0);

export class FrameReader {
  /** Bytes to pass over: the preface, or what is left of a payload that nobody asks for. */
  #skip: number;
  /** A frame's beginning, for as long as the frame is not whole. */
  #kept: Uint8Array = NOTHING;

  /** @param isServer whether it is a client that sends, which begins with a preface */
  constructor(isServer: boolean) {
    this.#skip = isServer ? PREFACE_BYTES : 0;
  }

  /** The frames that are whole with this piece; others are told as soon as their head is there. */
  *read(piece: Uint8Array): Generator<Frame> {
    let bytes = this.#kept.length === 0 ? piece : Buffer.concat([this.#kept, piece]);
    this.#kept = NOTHING;
    for (;;) {
      const passed = Math.min(this.#skip, bytes.length);
      this.#skip -= passed;
      bytes = bytes.subarray(passed);
      if (bytes.length < FRAME_HEADER_BYTES) break;
      const length = bytes[0]! << 16 | bytes[1]! << 8 | bytes[2]!;
      const [type, flags] = [bytes[3]!, bytes[4]!];
      // A longer frame ends the connection, so its headers are nobody's concern.
      const isAsked = HEADER_TYPES.has(type) && length <= MAX_FRAME_BYTES;
      if (isAsked && bytes.length < FRAME_HEADER_BYTES + length) break;
      const payload = isAsked
        ? bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length)
        : NOTHING;
      this.#skip = FRAME_HEADER_BYTES + length;
      yield { type, flags, payload };
    }
    // The piece is the runtime's, which may write into it again.
    this.#kept = bytes.slice();
  }
}
