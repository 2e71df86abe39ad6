/**
 * Damage to a protobuf message that leaves it decodable: fields get other values, go missing, come twice, change their number
 * or their type. What is random in bytes is mostly no message at all, and never gets past the decoder.
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding
 *
 * @module
 */

import { EDGES, type Mutator } from "./mutate.ts";
import { varint } from "./varint.ts";

type Value = bigint | Uint8Array | Field[];

interface Field {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 with a length, 5 four bytes. */
  readonly type: number;
  readonly value: Value;
}

const MAX_FIELD = 40;
const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 8, 5: 4 };

export function mutateFields(bytes: Uint8Array, mutator: Mutator): Uint8Array<ArrayBuffer> {
  let fields = decode(bytes) ?? [];
  for (let i = mutator.below(3); i >= 0; i--) fields = damage(fields, mutator);
  return encode(fields);
}

function damage(fields: readonly Field[], mutator: Mutator): Field[] {
  const at = mutator.below(fields.length);
  const field = fields[at];
  if (!field) return [{ number: 1 + mutator.below(MAX_FIELD), type: 0, value: edge(mutator) }];
  const replaced = (
    ...others: Field[]
  ) => [...fields.slice(0, at), ...others, ...fields.slice(at + 1)];
  // Most fields of interest lie deeper.
  if (Array.isArray(field.value) && mutator.below(5) > 0) {
    return replaced({ ...field, value: damage(field.value, mutator) });
  }
  switch (mutator.below(6)) {
    case 0:
      return replaced();
    case 1:
      return replaced(field, field);
    case 2:
      return replaced({ ...field, number: 1 + mutator.below(MAX_FIELD) });
    case 3:
      return replaced({ ...field, type: 0, value: edge(mutator) });
    default:
      return replaced({ ...field, value: otherValue(field, mutator) });
  }
}

function otherValue({ type, value }: Field, mutator: Mutator): Value {
  if (typeof value === "bigint") return edge(mutator);
  const bytes = Array.isArray(value) ? encode(value) : value;
  const damaged = mutator.mutate(bytes);
  const width = FIXED_BYTES[type];
  if (width === undefined) return damaged;
  const fixed = new Uint8Array(width);
  fixed.set(damaged.subarray(0, width));
  return fixed;
}

function edge(mutator: Mutator): bigint {
  return EDGES[mutator.below(EDGES.length)]!;
}

/** As deep as the bytes can be messages; undefined if they are none. */
function decode(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length;) {
    const tag = readVarint(bytes, at);
    if (!tag || tag.value >> 3n === 0n || tag.value > 0xffff_ffffn) return undefined;
    const [number, type] = [Number(tag.value >> 3n), Number(tag.value & 7n)];
    const content = readContent(bytes, tag.end, type);
    if (!content) return undefined;
    fields.push({ number, type, value: content.value });
    at = content.end;
  }
  return fields;
}

function readContent(
  bytes: Uint8Array,
  start: number,
  type: number,
): { value: Value; end: number } | undefined {
  if (type === 0) return readVarint(bytes, start);
  const length = type === 2 ? readVarint(bytes, start) : undefined;
  const begin = length?.end ?? start;
  const size = length ? Number(length.value) : FIXED_BYTES[type];
  if (size === undefined || (type === 2 && !length) || begin + size > bytes.length) {
    return undefined;
  }
  const value = bytes.slice(begin, begin + size);
  const nested = type === 2 && size > 0 ? decode(value) : undefined;
  return { value: nested ?? value, end: begin + size };
}

function readVarint(
  bytes: Uint8Array,
  start: number,
): { value: bigint; end: number } | undefined {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  return undefined;
}

function encode(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const parts = fields.flatMap(({ number, type, value }) => {
    if (typeof value === "bigint") return [varint(BigInt(number) << 3n), varint(value)];
    const bytes = Array.isArray(value) ? encode(value) : value;
    const tag = varint(BigInt(number) << 3n | BigInt(type));
    return FIXED_BYTES[type] === undefined
      ? [tag, varint(BigInt(bytes.length)), bytes]
      : [tag, bytes];
  });
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
