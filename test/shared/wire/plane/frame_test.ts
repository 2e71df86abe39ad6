import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import type { PlaneError } from "../../../../shared/wire/plane/plane_error.ts";
import {
  checkHeader,
  checkTrailer,
  encodeHeader,
  encodeTrailer,
  type FrameHeader,
  HEADER_BYTES,
} from "../../../../shared/wire/plane/frame.ts";

const TENSOR: FrameHeader = {
  kind: "tensor",
  dtype: "f16",
  sequence: 0xfffefdfc,
  payloadBytes: 2 ** 40 + 7,
};

function encoded(header: FrameHeader): Uint8Array {
  // With something before it, as in a buffer that other things share.
  const bytes = new Uint8Array(HEADER_BYTES + 3).fill(0xff).subarray(3);
  encodeHeader(header, bytes);
  return bytes;
}

/** A header whose checksum is right, whatever else is not. */
function forged(change: (view: DataView) => void): Uint8Array {
  const bytes = encoded(TENSOR);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  change(view);
  view.setUint32(28, crc32(bytes.subarray(0, 28)), true);
  return bytes;
}

function codeOf(run: () => void): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    assert.equal((error as Error).name, "PlaneError");
    return (error as PlaneError).code;
  }
}

Deno.test("a header has these bytes, the same that Python's struct and zlib make", () => {
  assert.equal(
    encoded(TENSOR).toHex(),
    "5475506c" + "01030200" + "fcfdfeff" + "00000000" + "0700000000010000" + "00000000" +
      "d8ed53c2",
  );
});

Deno.test("a header is accepted as itself and as no other", () => {
  const headers: readonly FrameHeader[] = [
    TENSOR,
    { ...TENSOR, dtype: "f32" },
    { ...TENSOR, dtype: "bf16" },
    { ...TENSOR, dtype: "int8" },
    { ...TENSOR, sequence: 0 },
    { ...TENSOR, payloadBytes: 7 },
    { ...TENSOR, payloadBytes: 0 },
    { kind: "hello", dtype: "none", sequence: 0, payloadBytes: 32 },
    { kind: "ready", dtype: "none", sequence: 0, payloadBytes: 32 },
  ];
  for (const [i, sent] of headers.entries()) {
    for (const [j, expected] of headers.entries()) {
      const code = codeOf(() => checkHeader(encoded(sent), expected));
      assert.equal(code, i === j ? undefined : "INVALID_ARGUMENT", `${i} ${j}`);
    }
  }
});

Deno.test("a header with any bit flipped is refused", () => {
  for (let bit = 0; bit < 8 * HEADER_BYTES; bit++) {
    const bytes = encoded(TENSOR);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    const code = codeOf(() => checkHeader(bytes, TENSOR));
    assert.equal(code, bit < 32 ? "INVALID_ARGUMENT" : "DATA_LOSS", `bit ${bit}`);
  }
});

Deno.test("a forged header is refused by the field that is wrong, its value and the expected one", () => {
  const cases: readonly [(view: DataView) => void, string, string, string][] = [
    [(view) => view.setUint32(0, 0x20544547, true), "magic", "0x6c507554", "0x20544547"],
    [(view) => view.setUint8(4, 2), "version", "1", "2"],
    [(view) => view.setUint8(5, 1), "kind", "tensor", "hello"],
    [(view) => view.setUint8(5, 99), "kind", "tensor", "99"],
    [(view) => view.setUint8(6, 1), "dtype", "f16", "f32"],
    [(view) => view.setUint8(6, 255), "dtype", "f16", "255"],
    [(view) => view.setUint8(7, 1), "reserved bits", "0", "0x00000001"],
    [(view) => view.setUint32(8, 5, true), "sequence", "4294901244", "5"],
    [(view) => view.setUint32(12, 2 ** 31, true), "reserved bits", "0", "0x80000000"],
    [
      (view) => view.setBigUint64(16, 2n ** 64n - 1n, true),
      "payload bytes",
      "1099511627783",
      "18446744073709551615",
    ],
    [(view) => view.setBigUint64(16, 0n, true), "payload bytes", "1099511627783", "0"],
    [(view) => view.setUint32(24, 2, true), "reserved bits", "0", "0x00000002"],
  ];
  for (const [change, field, expected, value] of cases) {
    assert.throws(() => checkHeader(forged(change), TENSOR), {
      name: "PlaneError",
      code: "INVALID_ARGUMENT",
      message: `Frame ${field} must be ${expected}: current value is ${value}`,
      details: { field: `Frame ${field}`, expected, value },
    });
  }
});

Deno.test("numbers that do not fit a header are refused before they are written", () => {
  for (const sequence of [-1, 2 ** 32, 0.5, NaN]) {
    assert.equal(codeOf(() => encoded({ ...TENSOR, sequence })), "INVALID_ARGUMENT");
  }
  for (const payloadBytes of [-1, 2 ** 53, 0.5, NaN]) {
    assert.equal(codeOf(() => encoded({ ...TENSOR, payloadBytes })), "INVALID_ARGUMENT");
  }
});

Deno.test("a trailer with any bit flipped is refused", () => {
  const checksum = crc32(new Uint8Array([1, 2, 3]));
  const bytes = new Uint8Array(4);
  encodeTrailer(checksum, bytes);
  checkTrailer(bytes, checksum);
  for (let bit = 0; bit < 32; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(codeOf(() => checkTrailer(flipped, checksum)), "DATA_LOSS", `bit ${bit}`);
  }
});
