/**
 * Files as `torch.save()` writes them, for tests: a zip archive of entries stored as they are, with a pickle of protocol 2
 * that builds a dict of tensors, and one entry per storage.
 *
 * @module
 */

import { crc32, deflateRawSync } from "node:zlib";
import type { DType } from "../../shared/tensor/dtype.ts";
import { bytesOf, type Shape, type Tensor } from "../../shared/tensor/tensor.ts";

/** A tensor that is a view of a storage; several may share one. */
export interface TorchView {
  readonly storage: Tensor;
  readonly offset?: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** What can stand in a saved object. */
export type Saved = Tensor | TorchView | Global | number | string | SavedDict;
export interface SavedDict {
  readonly [key: string]: Saved;
}

/** A name, called with no arguments where that is asked for. */
export class Global {
  readonly module: string;
  readonly name: string;
  readonly isCalled: boolean;
  constructor(module: string, name: string, { isCalled = false } = {}) {
    this.module = module;
    this.name = name;
    this.isCalled = isCalled;
  }
}

const STORAGES: Partial<Record<DType, string>> = {
  float64: "DoubleStorage",
  float32: "FloatStorage",
  float16: "HalfStorage",
  bfloat16: "BFloat16Storage",
  int64: "LongStorage",
  int32: "IntStorage",
  uint8: "ByteStorage",
  bool: "BoolStorage",
};
const ALIGNMENT = 64;

export interface ZipEntryOptions {
  readonly isCompressed?: boolean;
}

/** The bytes of a file with this object. */
export function torchFile(saved: Saved): Uint8Array<ArrayBuffer> {
  const { pickle, storages } = pickled(saved);
  return zipFile({
    "archive/data.pkl": pickle,
    "archive/byteorder": new TextEncoder().encode("little"),
    ...Object.fromEntries(storages.map((tensor, i) => [`archive/data/${i}`, bytesOf(tensor)])),
    "archive/version": new TextEncoder().encode("3\n"),
  });
}

/** The pickle, and the storages that it names by their numbers. */
export function pickled(saved: Saved): { pickle: Uint8Array; storages: readonly Tensor[] } {
  const writer = new PickleWriter();
  writer.value(saved);
  return { pickle: writer.finish(), storages: writer.storages };
}

class PickleWriter {
  readonly storages: Tensor[] = [];
  readonly #bytes: number[] = [0x80, 2];

  value(saved: Saved): void {
    if (typeof saved === "number") this.#int(saved);
    else if (typeof saved === "string") this.#text(saved);
    else if (saved instanceof Global) this.#named(saved);
    else if (isTensor(saved)) this.#tensor(contiguousView(saved));
    else if (isView(saved)) this.#tensor(saved);
    else this.#dict(saved);
  }

  finish(): Uint8Array {
    return Uint8Array.from([...this.#bytes, 0x2e]);
  }

  #named({ module, name, isCalled }: Global): void {
    this.#global(module, name);
    if (isCalled) this.#bytes.push(0x29, 0x52);
  }

  #dict(dict: SavedDict): void {
    this.#named(new Global("collections", "OrderedDict", { isCalled: true }));
    this.#bytes.push(0x28);
    for (const [key, item] of Object.entries(dict)) {
      this.#text(key);
      this.value(item);
    }
    this.#bytes.push(0x75);
  }

  #tensor({ storage, offset = 0, shape, strides }: TorchView): void {
    const known = this.storages.indexOf(storage);
    const index = known < 0 ? this.storages.push(storage) - 1 : known;
    this.#global("torch._utils", "_rebuild_tensor_v2");
    this.#bytes.push(0x28, 0x28);
    this.#text("storage");
    this.#global("torch", STORAGES[storage.dtype]!);
    this.#text(String(index));
    this.#text("cpu");
    this.#int(storage.data.length);
    this.#bytes.push(0x74, 0x51);
    this.#int(offset);
    this.#tuple(shape);
    this.#tuple(strides);
    this.#bytes.push(0x89);
    this.#dict({});
    this.#bytes.push(0x74, 0x52);
  }

  #tuple(numbers: readonly number[]): void {
    this.#bytes.push(0x28);
    numbers.forEach((number) => this.#int(number));
    this.#bytes.push(0x74);
  }

  #global(module: string, name: string): void {
    this.#bytes.push(0x63, ...new TextEncoder().encode(`${module}\n${name}\n`));
  }

  #text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#bytes.push(0x58, ...uint32(bytes.length), ...bytes);
  }

  #int(value: number): void {
    if (value < 2 ** 31) this.#bytes.push(0x4a, ...uint32(value));
    else {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
      this.#bytes.push(0x8a, 8, ...bytes);
    }
  }
}

function isTensor(saved: object): saved is Tensor {
  return "data" in saved && ArrayBuffer.isView(saved.data);
}

function isView(saved: object): saved is TorchView {
  return "strides" in saved && Array.isArray(saved.strides);
}

function contiguousView(tensor: Tensor): TorchView {
  const strides = tensor.shape.map((_, axis) =>
    tensor.shape.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  );
  return { storage: tensor, shape: tensor.shape, strides };
}

/** A zip archive whose contents begin at multiples of 64, as torch's do. */
export function zipFile(
  contents: Readonly<Record<string, Uint8Array>>,
  { isCompressed = false }: ZipEntryOptions = {},
): Uint8Array<ArrayBuffer> {
  const local: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let at = 0;
  for (const [key, content] of Object.entries(contents)) {
    const name = new TextEncoder().encode(key);
    const stored = isCompressed ? new Uint8Array(deflateRawSync(content)) : content;
    const padding = (ALIGNMENT - (at + 30 + name.length) % ALIGNMENT) % ALIGNMENT;
    const common = [
      ...[...uint16(0), ...uint16(isCompressed ? 8 : 0), ...uint32(0), ...uint32(crc32(content))],
      ...[...uint32(stored.length), ...uint32(content.length), ...uint16(name.length)],
    ];
    local.push(
      Uint8Array.from([
        ...uint32(0x04034b50),
        ...uint16(20),
        ...common,
        ...uint16(padding),
        ...name,
      ]),
      new Uint8Array(padding),
      stored,
    );
    central.push(
      Uint8Array.from([
        ...[...uint32(0x02014b50), ...uint16(20), ...uint16(20), ...common, ...uint16(0)],
        ...[...uint16(0), ...uint16(0), ...uint16(0), ...uint32(0), ...uint32(at), ...name],
      ]),
    );
    at += 30 + name.length + padding + stored.length;
  }
  const length = central.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const count = central.length;
  const end = Uint8Array.from([
    ...[...uint32(0x06054b50), ...uint32(0), ...uint16(count), ...uint16(count)],
    ...[...uint32(length), ...uint32(at), ...uint16(0)],
  ]);
  return joined([...local, ...central, end]);
}

/** The same archive with its list of entries in zip64's form, as those beyond 4 GB have it. */
export function withZip64(archive: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const endAt = archive.length - 22;
  const [count, start] = [view.getUint16(endAt + 10, true), view.getUint32(endAt + 16, true)];
  const rows: Uint8Array[] = [];
  for (let at = start; at < endAt;) {
    const nameLength = view.getUint16(at + 28, true);
    const row = archive.slice(at, at + 46 + nameLength);
    const [size, header] = [view.getUint32(at + 24, true), view.getUint32(at + 42, true)];
    row.set([...uint32(0xffffffff), ...uint32(0xffffffff)], 20);
    row.set(uint16(28), 30);
    row.set(uint32(0xffffffff), 42);
    const extra = [
      ...uint16(1),
      ...uint16(24),
      ...uint64(size),
      ...uint64(size),
      ...uint64(header),
    ];
    rows.push(row, Uint8Array.from(extra));
    at += 46 + nameLength;
  }
  const length = rows.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const end64At = start + length;
  const end64 = Uint8Array.from([
    ...[...uint32(0x06064b50), ...uint64(44), ...uint16(45), ...uint16(45), ...uint64(0)],
    ...[...uint64(count), ...uint64(count), ...uint64(length), ...uint64(start)],
  ]);
  const locator = [...uint32(0x07064b50), ...uint32(0), ...uint64(end64At), ...uint32(1)];
  const end = [
    ...[...uint32(0x06054b50), ...uint32(0), ...uint16(0xffff), ...uint16(0xffff)],
    ...[...uint32(0xffffffff), ...uint32(0xffffffff), ...uint16(0)],
  ];
  return joined([archive.slice(0, start), ...rows, end64, Uint8Array.from([...locator, ...end])]);
}

/**
 * Writes a sparse file with one f32 storage of so many elements, all holes but the last two, which are 3 and 4. Two tensors
 * share it: `most`, and `last` of two elements.
 *
 * @returns where the storage lies
 */
export async function writeHole(
  path: string,
  elements: number,
): Promise<{ readonly begin: number; readonly end: number }> {
  const storage = { dtype: "float32", shape: [elements], data: { length: elements } };
  const shared = storage as unknown as Tensor;
  const { pickle } = pickled({
    most: { storage: shared, shape: [elements - 2], strides: [1] },
    last: { storage: shared, offset: elements - 2, shape: [2], strides: [1] },
  });
  // An archive with a storage of two elements; the hole goes in front of them.
  const tail = new Uint8Array(Float32Array.of(3, 4).buffer);
  const small = zipFile({ "archive/data.pkl": pickle, "archive/data/0": tail });
  const view = new DataView(small.buffer);
  const listAt = view.getUint32(small.length - 6, true);
  const begin = listAt - tail.length;
  const end = begin + 4 * elements;
  // zip64's list of entries behind the small archive, in which the storage has its true size.
  const list = withZip64(small).slice(listAt);
  const listView = new DataView(list.buffer);
  const nameAt = new TextDecoder("latin1").decode(list).indexOf("archive/data/0");
  const sizeAt = nameAt + "archive/data/0".length + 4;
  for (const at of [sizeAt, sizeAt + 8]) listView.setBigUint64(at, BigInt(4 * elements), true);
  const end64At = list.length - 22 - 20 - 56;
  for (const at of [end64At + 48, list.length - 22 - 20 + 8]) {
    const moved = listView.getBigUint64(at, true) + BigInt(end - listAt);
    listView.setBigUint64(at, moved, true);
  }
  using file = await Deno.open(path, { write: true, create: true });
  await file.write(small.subarray(0, begin));
  await file.seek(end - tail.length, Deno.SeekMode.Start);
  await file.write(tail);
  await file.write(list);
  return { begin, end };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.byteLength;
  }
  return result;
}

function uint16(value: number): number[] {
  return [value & 0xff, value >> 8];
}

function uint32(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
}

function uint64(value: number): number[] {
  return [...uint32(value), ...uint32(Math.floor(value / 2 ** 32))];
}
