import assert from "node:assert/strict";
import { FormatError } from "../../../shared/errors.ts";
import {
  MAX_HEADER_BYTES,
  parseHeader,
  parseHeaderLength,
} from "../../../shared/safetensors/header.ts";

const PATH = "/models/m.safetensors";

/** Parses a header text for a file with `dataBytes` bytes behind it. */
function parse(header: string | Uint8Array, dataBytes = 0) {
  const bytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  return parseHeader(bytes, 8 + bytes.byteLength + dataBytes, PATH);
}

function lengthField(length: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
}

/** The error that `action` throws, which must be a FormatError that names the file. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert(error instanceof FormatError, `threw ${error}`);
    assert(error.message.includes(JSON.stringify(PATH)), error.message);
    return error.message;
  }
  return assert.fail("was accepted");
}

Deno.test("parseHeaderLength() reads a little-endian u64", () => {
  assert.equal(parseHeaderLength(lengthField(0x0102n), 10_000, PATH), 258);
});

Deno.test("parseHeaderLength() takes a header that ends with the file", () => {
  assert.equal(parseHeaderLength(lengthField(2n), 10, PATH), 2);
});

for (
  const [criterion, prefix, fileSize, message] of [
    ["an empty file", new Uint8Array(0), 0, /at least 8 bytes: current size is 0/],
    ["a file of 7 bytes", new Uint8Array(7), 7, /at least 8 bytes: current size is 7/],
    ["a length of 0", lengthField(0n), 100, /must not be empty: current length is 0/],
    ["a header one byte longer than the file", lengthField(3n), 10, /in the file of 10 bytes.* 3;/],
    ["a length of 2^64 - 1", lengthField(2n ** 64n - 1n), 100, /length is 18446744073709551615/],
    [
      "a length over the limit",
      lengthField(BigInt(MAX_HEADER_BYTES) + 1n),
      1e12,
      /at most 100000000 bytes: current length is 100000001/,
    ],
  ] as const
) {
  Deno.test(`parseHeaderLength() refuses ${criterion}`, () => {
    assert.match(refusal(() => parseHeaderLength(prefix, fileSize, PATH)), message);
  });
}

Deno.test("parseHeaderLength() takes a length at the limit", () => {
  const field = lengthField(BigInt(MAX_HEADER_BYTES));
  assert.equal(parseHeaderLength(field, 1e12, PATH), MAX_HEADER_BYTES);
});

Deno.test("parseHeader() sets tensors of unknown dtypes apart, whatever they are called", () => {
  for (const dtype of ["F4", "toString", "float32"]) {
    const bytes = new TextEncoder().encode(entry(dtype, "[8]", "[0,4]"));
    const { entries, foreign } = parseHeader(bytes, 8 + bytes.length + 4, PATH);
    assert.equal(entries.size, 0);
    const begin = 8 + bytes.length;
    assert.deepEqual(foreign.get("a"), {
      ...{ name: "a", foreignDtype: dtype, shape: [8], begin, end: begin + 4 },
    });
  }
});

const REFUSED: readonly (readonly [string, string | Uint8Array, number, RegExp])[] = [
  ["bytes that are not UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d), 0, /must be UTF-8$/],
  ["a byte order mark", "\ufeff{}", 0, /must be JSON/],
  ["text that is not JSON", '{"a":', 0, /must be JSON: .*\{\\"a\\":/],
  ["a list", "[]", 0, /must be a JSON object: current value is \[\]/],
  ["null", "null", 0, /must be a JSON object: current value is null/],
  ["a number", "7", 0, /must be a JSON object: current value is 7/],
  [
    "a tensor that is named twice",
    `{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},` +
    `"\\u0061":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}}`,
    2,
    /must name "a" only once/,
  ],
  [
    "a field that is named twice",
    `{"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}}`,
    2,
    /must name "dtype" only once/,
  ],
  ["a tensor that is a number", '{"a":1}', 0, /"a" .* an object: current value is 1/],
  ["a tensor that is null", '{"a":null}', 0, /"a" .* an object: current value is null/],
  ["a tensor that is a list", '{"a":[]}', 0, /"a" .* an object: current value is \[\]/],
  ["a missing dtype", '{"a":{"shape":[],"data_offsets":[0,0]}}', 0, /value is undefined/],
  ["a dtype that is an object", entryRaw("{}", "[2]", "[0,2]"), 2, /current value is an object/],
  ["a shape that is a number", entry("U8", "2", "[0,2]"), 2, /shape .* current value is 2$/],
  ["a missing shape", '{"a":{"dtype":"U8","data_offsets":[0,2]}}', 2, /shape .* undefined$/],
  ["a negative dimension", entry("U8", "[-1,-2]", "[0,2]"), 2, /shape .* value is \[-1, -2\]/],
  ["a dimension of -0", entry("U8", "[-0]", "[0,0]"), 0, /shape .* current value is \[-0\]/],
  ["a fractional dimension", entry("U8", "[1.5]", "[0,2]"), 2, /shape .* current value is \[1.5\]/],
  ["a dimension of text", entry("U8", '["2"]', "[0,2]"), 2, /shape .* current value is \["2"\]/],
  ["a dimension of 2^53", entry("U8", "[9007199254740992]", "[0,2]"), 2, /shape .* 2\^53 - 1/],
  [
    "a product of dimensions that overflows",
    entry("F32", "[4294967296,4294967296]", "[0,2]"),
    2,
    /fewer than 2\^53 bytes: current shape is \[4294967296, 4294967296\]/,
  ],
  ["offsets that are no list", entry("U8", "[2]", "2"), 2, /data_offsets .* current value is 2$/],
  ["missing offsets", '{"a":{"dtype":"U8","shape":[2]}}', 2, /data_offsets .* undefined$/],
  ["three offsets", entry("U8", "[2]", "[0,1,2]"), 2, /data_offsets .* value is \[0, 1, 2\]/],
  ["fractional offsets", entry("U8", "[2]", "[0,2.5]"), 2, /data_offsets .* value is \[0, 2.5\]/],
  ["negative offsets", entry("U8", "[2]", "[-2,0]"), 2, /data_offsets .* value is \[-2, 0\]/],
  ["reversed offsets", entry("U8", "[2]", "[2,0]"), 2, /ascending order: .* is \[2, 0\]/],
  ["offsets beyond the file", entry("U8", "[3]", "[0,3]"), 2, /in the 2 bytes of data .*\[0, 3\]/],
  [
    "a dtype and shape that are not the bytes",
    entry("F32", "[2,3]", "[0,12]"),
    12,
    /"a" .* float32 \[2, 3\] must have 24 bytes: current data_offsets \[0, 12\] span 12/,
  ],
  [
    "overlapping tensors",
    `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},` +
    `"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`,
    6,
    /"b" .* must not overlap "a"/,
  ],
  [
    "two tensors over the same bytes",
    `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},` +
    `"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`,
    4,
    /must not overlap/,
  ],
  ["a gap before the first tensor", entry("U8", "[2]", "[1,3]"), 3, /"a" .* must begin at byte/],
  [
    "a gap between tensors",
    `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},` +
    `"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`,
    3,
    /"b" .* must begin at byte/,
  ],
  ["bytes after the last tensor", entry("U8", "[2]", "[0,2]"), 3, /must end with its last tensor/],
  ["data without tensors", "{}", 1, /must end with its last tensor/],
  ["metadata that is text", '{"__metadata__":"pt"}', 0, /object of strings: current value is "pt"/],
  ["metadata with a number", '{"__metadata__":{"n":1}}', 0, /Metadata "n" .* a string: .* is 1$/],
];

function entryRaw(dtype: string, shape: string, offsets: string): string {
  return `{"a":{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}}`;
}

function entry(dtype: string, shape: string, offsets: string): string {
  return entryRaw(JSON.stringify(dtype), shape, offsets);
}

for (const [criterion, header, dataBytes, message] of REFUSED) {
  Deno.test(`parseHeader() refuses ${criterion}`, () => {
    assert.match(refusal(() => parse(header, dataBytes)), message);
  });
}

Deno.test("parseHeader() refuses a header that is longer than its file", () => {
  const bytes = new TextEncoder().encode("{}");
  assert.match(refusal(() => parseHeader(bytes, 9, PATH)), /in the file of 9 bytes/);
});

Deno.test("parseHeader() gives absolute offsets, in file order, with the metadata", () => {
  const header = `{"__metadata__":{"format":"pt"},` +
    `"late":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},` +
    `"early":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8],"unknown field":true}}   `;
  const { entries, metadata, dataStart } = parse(header, 11);
  assert.equal(dataStart, 8 + header.length);
  assert.deepEqual(metadata, { format: "pt" });
  assert.deepEqual([...entries.values()], [
    { name: "early", dtype: "float32", shape: [1, 2], begin: dataStart, end: dataStart + 8 },
    { name: "late", dtype: "uint8", shape: [3], begin: dataStart + 8, end: dataStart + 11 },
  ]);
});

Deno.test("parseHeader() takes scalars, empty tensors and files without tensors", () => {
  const header = `{"scalar":{"dtype":"I64","shape":[],"data_offsets":[0,8]},` +
    `"empty":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]},` +
    `"none":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`;
  assert.deepEqual([...parse(header, 8).entries.keys()], ["none", "scalar", "empty"]);
  assert.equal(parse("{}").entries.size, 0);
});

Deno.test("parseHeader() takes names of the prototype as ordinary names", () => {
  const u8 = (begin: number) => `{"dtype":"U8","shape":[1],"data_offsets":[${begin},${begin + 1}]}`;
  const header = `{"__metadata__":{"__proto__":"x","constructor":"y"},` +
    `"__proto__":${u8(0)},"constructor":${u8(1)},"toString":${u8(2)},"":${u8(3)}}`;
  const { entries, metadata } = parse(header, 4);
  assert.deepEqual([...entries.keys()], ["__proto__", "constructor", "toString", ""]);
  assert.equal(entries.get("valueOf"), undefined);
  assert.deepEqual(Object.entries(metadata), [["__proto__", "x"], ["constructor", "y"]]);
  assert.equal(({} as Record<string, unknown>).dtype, undefined);
});

Deno.test("parseHeader() takes no fields from a __proto__ inside an entry", () => {
  const header = `{"a":{"__proto__":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}}`;
  assert.match(refusal(() => parse(header, 1)), /dtype .* current value is undefined/);
});

Deno.test("parseHeader() refuses nesting deeper than any stack", () => {
  const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  assert.match(refusal(() => parse(`{"a":${deep}}`)), /must be described by an object/);
  assert.match(refusal(() => parse(`{"a":{"dtype":"U8","shape":${deep}}}`)), /shape/);
});

Deno.test("parseHeader() keeps errors about long names and values short", () => {
  const name = "n".repeat(1_000_000);
  const message = refusal(() => parse(`{"${name}":{"dtype":"${name}"}}`));
  assert(message.length < 1000, `${message.length} characters`);
});

Deno.test("parseHeader() escapes control characters of names in errors", () => {
  const message = refusal(() => parse('{"\\u001b[2J":1}'));
  assert(message.includes("\\u001b[2J") && !message.includes("\u001b"));
});

Deno.test("parseHeader() takes 20 MB of text, and refuses as many values before it makes them", () => {
  const header = (json: string) => new TextEncoder().encode(json);
  const text = "x".repeat(20_000_000);
  const large = header(`{"__metadata__":{"tags":"${text}"}}`);
  const { metadata } = parseHeader(large, 8 + large.length, PATH);
  assert.equal(metadata.tags, text);
  const nested = header(`{"__metadata__":${"[".repeat(10_000_000)}`);
  assert.match(
    refusal(() => parseHeader(nested, 8 + nested.length, PATH)),
    /must have at most 2097152 values: current count is 10000001/,
  );
});

Deno.test("parseHeader() names a byte order mark", () => {
  const marked = new TextEncoder().encode("\uFEFF{}");
  assert.match(
    refusal(() => parseHeader(marked, 8 + marked.length, PATH)),
    /must be JSON: it begins with a byte order mark.*get the file anew/,
  );
});
