/**
 * How long header lists are once they are unpacked (HPACK, RFC 7541), without unpacking them: a few bytes can name a
 * long entry of the connection's table any number of times.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";

/** Of the last byte that a number may have after its first. */
const MAX_FACTOR = 128 ** 3;

export interface HeaderSize {
  readonly fields: number;
  /** An upper bound: names, values, and 32 for each field, as RFC 7541 (4.1) counts. */
  readonly bytes: number;
}

/** Entries of the static table, RFC 7541 appendix A. */
const STATIC_ENTRIES = 61;

/** More than the longest of them. */
const STATIC_BYTES = 32 + 64;

const ENTRY_OVERHEAD = 32;

/** A table of 4,096 bytes, the size until both ends agree on another, holds no more: each counts 32 at least. */
const MAX_ENTRIES = 128;

/** The shortest code of a character has 5 bits. */
const MAX_UNPACKED = 8 / 5;

/** Of one direction of one connection: header lists must come in the order in which they were sent. */
export class HeaderSizes {
  /** Sizes of the table's entries, the newest first. It may hold some that the real one has dropped. */
  readonly #table: number[] = [];

  /** @throws {FormatError} if it ends within a field */
  measure(block: Uint8Array): HeaderSize {
    const reader = new BlockReader(block);
    let fields = 0;
    let bytes = 0;
    while (!reader.isAtEnd) {
      const first = reader.peek();
      if ((first & 0xe0) === 0x20) {
        // A new size of the table is no field.
        reader.integer(5);
        continue;
      }
      fields++;
      bytes += this.#field(first, reader);
    }
    return { fields, bytes };
  }

  #field(first: number, reader: BlockReader): number {
    if (first & 0x80) return this.#entry(reader.integer(7));
    const isIndexed = (first & 0x40) !== 0;
    const name = reader.integer(isIndexed ? 6 : 4);
    const nameBytes = name === 0 ? reader.string() : this.#entry(name) - ENTRY_OVERHEAD;
    const size = nameBytes + reader.string() + ENTRY_OVERHEAD;
    if (isIndexed) {
      this.#table.unshift(size);
      this.#table.length = Math.min(this.#table.length, MAX_ENTRIES);
    }
    return size;
  }

  #entry(index: number): number {
    if (index <= STATIC_ENTRIES) return STATIC_BYTES;
    // One that is not there ends the connection when it is unpacked.
    return this.#table[index - STATIC_ENTRIES - 1] ?? ENTRY_OVERHEAD;
  }
}

class BlockReader {
  #at = 0;
  readonly #block: Uint8Array;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#block.length;
  }

  peek(): number {
    return this.#block[this.#at]!;
  }

  /** RFC 7541, 5.1. */
  integer(prefixBits: number): number {
    const max = 2 ** prefixBits - 1;
    let value = this.#byte() & max;
    if (value < max) return value;
    for (let factor = 1; factor <= MAX_FACTOR; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if ((byte & 0x80) === 0) return value;
    }
    throw new FormatError("Header list must have no number of more than five bytes");
  }

  /** RFC 7541, 5.2. @returns its length when unpacked, at most */
  string(): number {
    const isPacked = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    this.#at += length;
    if (this.#at > this.#block.length) throw tooShort();
    return isPacked ? Math.floor(length * MAX_UNPACKED) : length;
  }

  #byte(): number {
    if (this.isAtEnd) throw tooShort();
    return this.#block[this.#at++]!;
  }
}

function tooShort(): FormatError {
  return new FormatError("Header list must end with a whole field");
}
