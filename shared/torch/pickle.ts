/**
 * Reads a pickle as data (opcodes: CPython's `Lib/pickletools.py`). A pickle is a program for a small stack machine that
 * may name any function and have it called. Here a name is a name: the caller says what those that it knows stand for,
 * as plain values, refuses all others, and there is nothing that could be executed.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";

export type PickleValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | PickleList
  | PickleTuple
  | PickleDict
  | PickleObject;

/** `[...]` or a set */
export class PickleList {
  readonly items: PickleValue[] = [];
}

export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

export class PickleDict {
  readonly items = new Map<PickleValue, PickleValue>();
}

/** What a reader made of a name or a call: it means something to the reader alone. */
export interface PickleObject {
  readonly kind: string;
}

/** What names, calls and references to things outside of the pickle mean. */
export interface PickleReader {
  /** @throws {FormatError} for a name that it does not know */
  name(module: string, name: string): PickleValue;
  /** @param args as the pickle has them: anything */
  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue;
  persistent(id: PickleValue): PickleValue;
}

/** Stands on the stack where a run of items begins. */
const MARK = Symbol("mark");

type StackItem = PickleValue | typeof MARK;

/** More digits than any size has. */
const MAX_LONG_BYTES = 8;

/**
 * Takes time and memory in proportion to the pickle's length.
 *
 * @param path named in errors
 * @throws {FormatError} if it is cut off, damaged, or uses an opcode that no one needs for tensors
 */
export function readPickle(bytes: Uint8Array, reader: PickleReader, path: string): PickleValue {
  const input = new PickleInput(bytes, path);
  const machine = new PickleMachine(reader, path);
  while (true) {
    const opcode = input.uint8();
    if (opcode === STOP) return machine.pop();
    const step = OPCODES[opcode];
    if (!step) {
      throw new FormatError(
        `Pickle of ${show(path)} must hold tensors only: opcode 0x${
          opcode.toString(16).padStart(2, "0")
        } at byte ${input.at - 1} is none that torch.save() writes`,
      );
    }
    step(machine, input);
  }
}

class PickleInput {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #path: string;
  at = 0;

  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path = path;
  }

  /** The next bytes, without a copy. */
  take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.at) {
      throw new FormatError(
        `Pickle of ${show(this.#path)} must go on until its end: ` +
          `it ends at byte ${this.#bytes.length}, ${length} bytes are missing from ${this.at} on`,
      );
    }
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #number(size: number, read: (at: number) => number): number {
    this.take(size);
    return read(this.at - size);
  }

  uint8 = () => this.#number(1, (at) => this.#view.getUint8(at));
  uint16 = () => this.#number(2, (at) => this.#view.getUint16(at, true));
  uint32 = () => this.#number(4, (at) => this.#view.getUint32(at, true));
  int32 = () => this.#number(4, (at) => this.#view.getInt32(at, true));
  uint64 = () => this.#number(8, (at) => Number(this.#view.getBigUint64(at, true)));
  float64 = () => this.#number(8, (at) => this.#view.getFloat64(at, false));

  text(length: number): string {
    return new TextDecoder().decode(this.take(length));
  }

  /** Up to the end of the line. */
  line(): string {
    const end = this.#bytes.indexOf("\n".charCodeAt(0), this.at);
    const text = this.text(end < 0 ? Infinity : end - this.at);
    this.at++;
    return text;
  }

  /** A number of `length` bytes in two's complement. */
  long(length: number): number {
    if (length > MAX_LONG_BYTES) {
      throw new FormatError(
        `Pickle of ${show(this.#path)} must have numbers of at most ${MAX_LONG_BYTES} bytes: ` +
          `current length is ${length}`,
      );
    }
    return Number(
      this.take(length).reduceRight(
        (sum, byte, i) =>
          sum + (BigInt(i === length - 1 && byte > 127 ? byte - 256 : byte) << BigInt(8 * i)),
        0n,
      ),
    );
  }
}

class PickleMachine {
  readonly reader: PickleReader;
  readonly #path: string;
  readonly #stack: StackItem[] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(reader: PickleReader, path: string) {
    this.reader = reader;
    this.#path = path;
  }

  push(value: StackItem): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) throw this.damaged("its stack is empty");
    return value;
  }

  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }

  /** Everything above the last mark, which goes, too. */
  popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw this.damaged("a mark is missing");
    return this.#stack.splice(mark).slice(1) as PickleValue[];
  }

  discard(): void {
    this.#stack.pop();
  }

  text(): string {
    const value = this.pop();
    if (typeof value !== "string") throw this.damaged("a name is no text");
    return value;
  }

  tuple(count: number): void {
    const items = Array.from({ length: count }, () => this.pop());
    this.push(new PickleTuple(items.reverse()));
  }

  setItems(pairs: readonly PickleValue[]): void {
    const dict = this.top();
    if (pairs.length % 2 === 1) throw this.damaged("a key has no value");
    // What is set on another object is its own business: no tensor is lost with it.
    if (!(dict instanceof PickleDict)) return;
    for (let i = 0; i < pairs.length; i += 2) dict.items.set(pairs[i]!, pairs[i + 1]!);
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (list instanceof PickleList) { for (const value of values) list.items.push(value); }
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(args instanceof PickleTuple)) throw this.damaged("arguments are no tuple");
    this.push(this.reader.call(callee, args.items));
  }

  /** An object's attributes: those of a dict that is one of ours are its items. */
  build(): void {
    const state = this.pop();
    const object = this.top();
    if (!(object instanceof PickleDict) || !(state instanceof PickleDict)) return;
    if (object.items.size > 0) return; // Attributes of an OrderedDict: versions of torch's modules.
    for (const [key, value] of state.items) object.items.set(key, value);
  }

  put(index: number): void {
    this.#memo.set(index, this.top());
  }

  memoize(): void {
    this.put(this.#memo.size);
  }

  get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.damaged(`nothing is kept under ${index}`);
    this.push(value);
  }

  damaged(why: string): FormatError {
    return new FormatError(`Pickle of ${show(this.#path)} is damaged: ${why}`);
  }
}

type Step = (machine: PickleMachine, input: PickleInput) => void;

const STOP = 0x2e;

const LATIN1 = new TextDecoder("latin1");

/** What each opcode does, under pickletools' names. Those of protocols 0 and 1, which torch never writes, are left out. */
const OPCODES: Readonly<Record<number, Step>> = {
  0x80: (_, input) => void input.uint8(), // PROTO
  0x95: (_, input) => void input.uint64(), // FRAME
  0x28: (machine) => machine.push(MARK), // MARK
  0x30: (machine) => machine.discard(), // POP
  0x31: (machine) => void machine.popToMark(), // POP_MARK
  0x32: (machine) => machine.push(machine.top()), // DUP
  0x4e: (machine) => machine.push(null), // NONE
  0x88: (machine) => machine.push(true), // NEWTRUE
  0x89: (machine) => machine.push(false), // NEWFALSE
  0x4a: (machine, input) => machine.push(input.int32()), // BININT
  0x4b: (machine, input) => machine.push(input.uint8()), // BININT1
  0x4d: (machine, input) => machine.push(input.uint16()), // BININT2
  0x8a: (machine, input) => machine.push(input.long(input.uint8())), // LONG1
  0x47: (machine, input) => machine.push(input.float64()), // BINFLOAT
  0x58: (machine, input) => machine.push(input.text(input.uint32())), // BINUNICODE
  0x8c: (machine, input) => machine.push(input.text(input.uint8())), // SHORT_BINUNICODE
  0x8d: (machine, input) => machine.push(input.text(input.uint64())), // BINUNICODE8
  0x54: (machine, input) => machine.push(LATIN1.decode(input.take(input.uint32()))), // BINSTRING
  0x55: (machine, input) => machine.push(LATIN1.decode(input.take(input.uint8()))), // SHORT_BINSTRING
  0x42: (machine, input) => machine.push(input.take(input.uint32())), // BINBYTES
  0x43: (machine, input) => machine.push(input.take(input.uint8())), // SHORT_BINBYTES
  0x8e: (machine, input) => machine.push(input.take(input.uint64())), // BINBYTES8
  0x5d: (machine) => machine.push(new PickleList()), // EMPTY_LIST
  0x8f: (machine) => machine.push(new PickleList()), // EMPTY_SET
  0x61: (machine) => machine.append([machine.pop()]), // APPEND
  0x65: (machine) => machine.append(machine.popToMark()), // APPENDS
  0x90: (machine) => machine.append(machine.popToMark()), // ADDITEMS
  0x29: (machine) => machine.push(new PickleTuple([])), // EMPTY_TUPLE
  0x74: (machine) => machine.push(new PickleTuple(machine.popToMark())), // TUPLE
  0x85: (machine) => machine.tuple(1), // TUPLE1
  0x86: (machine) => machine.tuple(2), // TUPLE2
  0x87: (machine) => machine.tuple(3), // TUPLE3
  0x7d: (machine) => machine.push(new PickleDict()), // EMPTY_DICT
  0x73: (machine) => { // SETITEM
    const value = machine.pop();
    machine.setItems([machine.pop(), value]);
  },
  0x75: (machine) => machine.setItems(machine.popToMark()), // SETITEMS
  0x71: (machine, input) => machine.put(input.uint8()), // BINPUT
  0x72: (machine, input) => machine.put(input.uint32()), // LONG_BINPUT
  0x94: (machine) => machine.memoize(), // MEMOIZE
  0x68: (machine, input) => machine.get(input.uint8()), // BINGET
  0x6a: (machine, input) => machine.get(input.uint32()), // LONG_BINGET
  0x63: (machine, input) => machine.push(machine.reader.name(input.line(), input.line())), // GLOBAL
  0x93: (machine) => { // STACK_GLOBAL
    const name = machine.text();
    machine.push(machine.reader.name(machine.text(), name));
  },
  0x52: (machine) => machine.call(), // REDUCE
  0x81: (machine) => machine.call(), // NEWOBJ
  0x62: (machine) => machine.build(), // BUILD
  0x51: (machine) => machine.push(machine.reader.persistent(machine.pop())), // BINPERSID
};
