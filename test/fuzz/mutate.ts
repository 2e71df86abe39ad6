/**
 * Damages bytes as files and messages get damaged, by accident and on purpose: flipped bits, cut ends, lengths that lie, parts
 * lost, doubled, swapped and taken from another good input. The same seed gives the same damage.
 *
 * @module
 */

import { Mt19937 } from "../../shared/tensor/mt19937.ts";
import { varint } from "./varint.ts";

/** Numbers at which lengths, counts and offsets go wrong. */
export const EDGES: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
]
  .concat([2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]);

/** Headers, tags and lengths stand in front: half of all damage goes there. */
const FRONT_BYTES = 256;
const MAX_DAMAGES = 6;

export interface MutatorOptions {
  readonly seed: number;
  /** Good inputs to take foreign parts from. */
  readonly donors: readonly Uint8Array[];
  /** Bytes that mean something in the format: what gets past a first check. @default all bytes */
  readonly alphabet?: Uint8Array;
}

export class Mutator {
  readonly #random: Mt19937;
  readonly #options: MutatorOptions;

  constructor(options: MutatorOptions) {
    this.#options = options;
    this.#random = new Mt19937(options.seed);
  }

  /** A whole number from 0 to `bound - 1`; 0 if there is none. */
  below(bound: number): number {
    return bound < 1 ? 0 : this.#random.random32() % bound;
  }

  /** A damaged copy. */
  mutate(input: Uint8Array): Uint8Array<ArrayBuffer> {
    let bytes = new Uint8Array(input);
    for (let i = this.below(MAX_DAMAGES); i >= 0; i--) bytes = this.#damage(bytes);
    return bytes;
  }

  #damage(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const at = this.#place(bytes.length);
    switch (this.below(8)) {
      case 0:
        bytes[at]! ^= 1 << this.below(8);
        return bytes;
      case 1:
        bytes[at] = this.#meaningfulByte();
        return bytes;
      case 2:
        return this.#writeEdge(bytes, at);
      case 3:
        return bytes.slice(0, at);
      case 4: // Lost.
        return splice(bytes, at, this.#lengthFrom(bytes, at), new Uint8Array());
      case 5: // Doubled.
        return splice(bytes, at, 0, bytes.slice(at, at + this.#lengthFrom(bytes, at)));
      case 6: {
        const inserted = Uint8Array.from(
          { length: 1 + this.below(8) },
          () => this.#meaningfulByte(),
        );
        return splice(bytes, at, 0, inserted);
      }
      default: {
        const { donors } = this.#options;
        const donor = donors[this.below(donors.length)]!;
        const from = this.#place(donor.length);
        const part = donor.slice(from, from + this.#lengthFrom(donor, from));
        return splice(bytes, at, part.length, part);
      }
    }
  }

  #place(length: number): number {
    return this.below(this.below(2) === 0 ? Math.min(length, FRONT_BYTES) : length);
  }

  #lengthFrom({ length }: Uint8Array, start: number): number {
    return 1 + this.below(Math.min(64, length - start));
  }

  #meaningfulByte(): number {
    const { alphabet } = this.#options;
    return alphabet && this.below(4) > 0 ? alphabet[this.below(alphabet.length)]! : this.below(256);
  }

  /** As fixed 4 or 8 bytes, or as a varint. */
  #writeEdge(bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
    const edge = EDGES[this.below(EDGES.length)]!;
    if (this.below(2) === 0) return splice(bytes, at, 1, varint(edge));
    const width = this.below(2) === 0 ? 4 : 8;
    const fixed = new Uint8Array(8);
    new DataView(fixed.buffer).setBigUint64(0, edge, true);
    return splice(bytes, at, width, fixed.slice(0, width));
  }
}

function splice(
  bytes: Uint8Array,
  start: number,
  removed: number,
  inserted: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const tail = bytes.subarray(Math.min(bytes.length, start + removed));
  const result = new Uint8Array(start + inserted.length + tail.length);
  result.set(bytes.subarray(0, start));
  result.set(inserted, start);
  result.set(tail, start + inserted.length);
  return result;
}
