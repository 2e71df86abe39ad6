/**
 * What a peer may send on one HTTP/2 connection. Deno 2.9 keeps the headers of each call that it refuses until the
 * connection ends, whatever its options say: 240 bytes on the wire leave half a megabyte. So lists that nobody needs
 * end the connection before it unpacks them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { FLAG, FRAME, type Frame, FrameReader } from "./frame_reader.ts";
import { HeaderSizes } from "./header_sizes.ts";

export interface HeaderLimits {
  /** Fields of one header list. */
  readonly fields: number;
  /** Of one header list when it is unpacked. */
  readonly bytes: number;
}

/** Several times what our calls need, with what a proxy adds. */
export const REQUEST_LIMITS: HeaderLimits = { fields: 64, bytes: 16_384 };

/** A worker's answer ends with its error, which may have a long message. */
export const RESPONSE_LIMITS: HeaderLimits = { fields: 64, bytes: 65_536 };

/** A peer says goodbye once or twice. */
const MAX_GOODBYES = 4;

/** Frames of one header list. */
const MAX_FRAGMENTS = 8;

export class ConnectionWatch {
  readonly #frames: FrameReader;
  readonly #limits: HeaderLimits;
  readonly #sizes = new HeaderSizes();
  /** Of the header list that is being sent. */
  #fragments: Uint8Array[] = [];
  #goodbyes = 0;

  /** @param isServer whether it is a client that sends */
  constructor(isServer: boolean) {
    this.#frames = new FrameReader(isServer);
    this.#limits = isServer ? REQUEST_LIMITS : RESPONSE_LIMITS;
  }

  /** What the peer sent that it must not; undefined if nothing. */
  problemWith(piece: Uint8Array): string | undefined {
    for (const frame of this.#frames.read(piece)) {
      const problem = this.#problemWithFrame(frame);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #problemWithFrame({ type, flags, payload }: Frame): string | undefined {
    if (type === FRAME.GOAWAY && ++this.#goodbyes > MAX_GOODBYES) {
      return `more than ${MAX_GOODBYES} goodbyes (GOAWAY)`;
    }
    if (type === FRAME.HEADERS || type === FRAME.PUSH_PROMISE) {
      this.#fragments = [fragmentOf(type, flags, payload)];
    } else if (type === FRAME.CONTINUATION) {
      this.#fragments.push(payload.slice());
    } else return undefined;
    if (this.#fragments.length > MAX_FRAGMENTS) {
      return `headers in more than ${MAX_FRAGMENTS} frames`;
    }
    return flags & FLAG.END_HEADERS ? this.#problemWithHeaders() : undefined;
  }

  #problemWithHeaders(): string | undefined {
    const block = Buffer.concat(this.#fragments);
    this.#fragments = [];
    try {
      const { fields, bytes } = this.#sizes.measure(block);
      if (fields > this.#limits.fields) {
        return `${fields} headers in one call: at most ${this.#limits.fields} are taken`;
      }
      if (bytes > this.#limits.bytes) {
        return `headers of ${bytes} bytes in one call: at most ${this.#limits.bytes} are taken`;
      }
    } catch {
      return "headers that end within a field";
    }
    return undefined;
  }
}

/** The part of the header list that the frame has, without padding and priority. */
function fragmentOf(type: number, flags: number, payload: Uint8Array): Uint8Array {
  const isPadded = (flags & FLAG.PADDED) !== 0;
  const end = payload.length - (isPadded ? payload[0] ?? 0 : 0);
  const priority = type === FRAME.HEADERS && flags & FLAG.PRIORITY ? 5 : 0;
  const promised = type === FRAME.PUSH_PROMISE ? 4 : 0;
  return payload.slice((isPadded ? 1 : 0) + priority + promised, Math.max(0, end));
}
