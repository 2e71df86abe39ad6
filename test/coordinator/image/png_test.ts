import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32, deflateSync } from "node:zlib";
import { decodePng, encodePng } from "../../../coordinator/image/png.ts";
import { filterRows, unfilterRows } from "../../../coordinator/image/png_filters.ts";
import { FormatError, ShapeError } from "../../../shared/errors.ts";

/** A reproducible byte stream (xorshift32). */
function* bytes(seed: number): Generator<number, never> {
  for (let x = seed | 1;;) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x & 255;
  }
}

function take(source: Generator<number>, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => source.next().value);
}

function chunk(type: string, data: Uint8Array | readonly number[]): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), Uint8Array.from(data)]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** A PNG put together by hand, so that kinds which the encoder never writes can be read. */
function png(
  { width = 2, height = 1, depth = 8, colour = 2, interlace = 0, rows, extra = [] }: {
    width?: number;
    height?: number;
    depth?: number;
    colour?: number;
    interlace?: number;
    rows: readonly number[];
    extra?: readonly Uint8Array[];
  },
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, interlace], 8);
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    ...extra,
    chunk("IDAT", deflateSync(Uint8Array.from(rows))),
    chunk("IEND", []),
  ]);
}

const IMAGE = { width: 3, height: 2, rgb: Uint8Array.from({ length: 18 }, (_, i) => i * 14) };

Deno.test("decodePng() returns what encodePng() was given, for many sizes and contents", () => {
  const source = bytes(7);
  for (const [width, height] of [[1, 1], [1, 9], [9, 1], [13, 7], [64, 64]] as const) {
    const noise = take(source, width * height * 3);
    const ramp = noise.map((_, i) => (i >> 2) & 255);
    for (const rgb of [noise, ramp, new Uint8Array(noise.length)]) {
      assert.deepEqual(decodePng(encodePng({ width, height, rgb, text: {} })), {
        width,
        height,
        rgb,
        text: {},
      });
    }
  }
});

Deno.test("encodePng() keeps text of any script under its keyword", () => {
  const text = {
    parameters: "a heart, café ÿ\nSteps: 25",
    "Tutti note": "wide 心, emoji 💚, quotes \"' and \t tabs",
    __proto__x: "",
  };
  assert.deepEqual(decodePng(encodePng({ ...IMAGE, text })).text, text);
});

Deno.test("encodePng() writes tEXt for Latin-1 text and iTXt for other text", () => {
  const kinds = (value: string) => {
    const file = Buffer.from(encodePng({ ...IMAGE, text: { parameters: value } }));
    return ["tEXt", "iTXt"].filter((type) => file.includes(type));
  };
  assert.deepEqual(kinds("caf\u00e9 \u00ff"), ["tEXt"]);
  assert.deepEqual(kinds("\u0100"), ["iTXt"]);
  assert.deepEqual(kinds("💚"), ["iTXt"]);
});

Deno.test("encodePng() replaces NUL, which text chunks cannot hold", () => {
  const file = encodePng({ ...IMAGE, text: { parameters: "a\0b" } });
  assert.equal(decodePng(file).text.parameters, "a\ufffdb");
});

Deno.test("encodePng() refuses text keywords that the format forbids", () => {
  for (const keyword of ["", " a", "a ", "a  b", "a\nb", "\u0100", "k".repeat(80)]) {
    assert.throws(() => encodePng({ ...IMAGE, text: { [keyword]: "x" } }), FormatError, keyword);
  }
});

Deno.test("encodePng() refuses pixels of another count than the size says", () => {
  assert.throws(() => encodePng({ ...IMAGE, width: 4, text: {} }), {
    name: "ShapeError",
    message: "Image of 4x2 must have 24 bytes: current count is 18",
  });
  assert.throws(() => encodePng({ ...IMAGE, width: 0, text: {} }), ShapeError);
});

Deno.test("filterRows() picks the filter that leaves the smallest differences", () => {
  const rows = [
    [10, 200, 30, 90], // first row, nothing above, no pattern
    [10, 200, 30, 90], // equal to the row above: up
    [50, 50, 50, 50], // flat: sub
  ];
  const filtered = filterRows(Uint8Array.from(rows.flat()), {
    rows: 3,
    rowBytes: 4,
    pixelBytes: 1,
  });
  assert.deepEqual([...filtered.subarray(5)], [2, 0, 0, 0, 0, 1, 50, 0, 0, 0]);
});

Deno.test("unfilterRows() computes all five filters as the specification defines them", () => {
  // One pixel of one byte a column. Expected values by hand from the definitions, modulo 256.
  const filtered = [
    [0, 100, 250, 3],
    [1, 10, 20, 250], // left: 10, 30, 24
    [2, 1, 2, 255], // up: 11, 32, 23
    [3, 5, 10, 1], // (left + up) >> 1: 10, 31, 28
    [4, 1, 1, 1], // Paeth of (0, 10, 0), (11, 31, 10), (32, 28, 31): 10, 31, 28
  ];
  const pixels = unfilterRows(Uint8Array.from(filtered.flat()), {
    rows: 5,
    rowBytes: 3,
    pixelBytes: 1,
  });
  assert.deepEqual([...pixels], [100, 250, 3, 10, 30, 24, 11, 32, 23, 10, 31, 28, 11, 32, 29]);
});

Deno.test("unfilterRows() undoes filterRows() for every pixel width", () => {
  const source = bytes(3);
  for (const pixelBytes of [1, 2, 3, 4]) {
    const layout = { rows: 6, rowBytes: 5 * pixelBytes, pixelBytes };
    const pixels = take(source, 30 * pixelBytes).map((byte) => byte >> 3);
    assert.deepEqual(unfilterRows(filterRows(pixels, layout), layout), pixels);
  }
});

Deno.test("decodePng() reads gray, gray with alpha, RGBA and palette images as RGB", () => {
  const gray = png({ colour: 0, rows: [0, 7, 9] });
  assert.deepEqual([...decodePng(gray).rgb], [7, 7, 7, 9, 9, 9]);
  const grayAlpha = png({ colour: 4, rows: [0, 7, 255, 9, 0] });
  assert.deepEqual([...decodePng(grayAlpha).rgb], [7, 7, 7, 9, 9, 9]);
  const rgba = png({ colour: 6, rows: [0, 1, 2, 3, 255, 4, 5, 6, 0] });
  assert.deepEqual([...decodePng(rgba).rgb], [1, 2, 3, 4, 5, 6]);
  const palette = png({ colour: 3, rows: [0, 1, 0], extra: [chunk("PLTE", [9, 8, 7, 3, 2, 1])] });
  assert.deepEqual([...decodePng(palette).rgb], [3, 2, 1, 9, 8, 7]);
});

Deno.test("decodePng() reads deflated text of other programs", () => {
  const latin1 = [...Buffer.from("Title\0\0", "latin1"), ...deflateSync(Uint8Array.of(0xe9))];
  const utf8 = [...Buffer.from("Note\0\x01\0de\0Notiz\0", "latin1"), ...deflateSync("♥")];
  const file = png({
    rows: [0, 1, 2, 3, 4, 5, 6],
    extra: [chunk("zTXt", latin1), chunk("iTXt", utf8)],
  });
  assert.deepEqual(decodePng(file).text, { Title: "é", Note: "♥" });
});

Deno.test("decodePng() refuses kinds of image that it does not read, and says which", () => {
  const rows = [0, 1, 2, 3, 4, 5, 6];
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [png({ rows, depth: 16 }), /current depth is 16, colour type 2$/],
    [png({ rows, depth: 1, colour: 3 }), /current depth is 1, colour type 3$/],
    [png({ rows, colour: 5 }), /colour type 5$/],
    [png({ rows, interlace: 1 }), /current methods are 0, 0 and 1$/],
    [png({ rows, width: 0 }), /current size is 0x1$/],
    [png({ rows, width: 2 ** 31, height: 2 ** 31 }), /must have 1 to 67108864 pixels/],
    [png({ rows: [5, 1, 2, 3, 4, 5, 6] }), /filter type of row 0 .* current value is 5$/],
    [png({ rows: [0, 1, 2, 3, 4, 5] }), /must inflate to 7 bytes: current count is 6$/],
    [png({ rows: [0, 1, 2, 3, 4, 5, 6, 7] }), /must inflate to 7 bytes$/],
    [png({ rows: new Array(1 << 20).fill(0) }), /must inflate to 7 bytes$/],
    [png({ colour: 3, rows: [0, 1, 0] }), /palette must have 1 to 256 colours/],
    [png({ colour: 3, rows: [0, 1, 0], extra: [chunk("PLTE", [1, 2])] }), /palette must have/],
    [
      png({ colour: 3, rows: [0, 1, 0], extra: [chunk("PLTE", [1, 2, 3])] }),
      /index must be below 1: current value is 1 at pixel 0$/,
    ],
    [png({ rows, extra: [chunk("tEXt", [65, 66])] }), /a NUL byte must end the keyword$/],
    [png({ rows, extra: [chunk("iTXt", [65, 0, 2, 0, 0, 0])] }), /compression flag must be/],
    [png({ rows, extra: [chunk("iTXt", [65, 0])] }), /compression flag must be/],
    [png({ rows, extra: [chunk("zTXt", [65, 0, 1])] }), /compression method must be 0$/],
    [
      png({
        rows,
        extra: [chunk("zTXt", [65, 0, 0, ...deflateSync(new Uint8Array(17 * 2 ** 20))])],
      }),
      /must inflate to at most 16777216 bytes$/,
    ],
    [chunk("IHDR", new Uint8Array(13)), /must begin with the PNG signature$/],
  ];
  for (const [file, message] of cases) {
    assert.throws(() => decodePng(file), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("decodePng() refuses a file cut at any byte or with any byte changed", () => {
  const file = encodePng({ ...IMAGE, text: { parameters: "Steps: 25" } });
  for (let length = 0; length < file.length; length++) {
    assert.throws(() => decodePng(file.subarray(0, length)), FormatError, `cut at ${length}`);
  }
  for (let i = 0; i < file.length; i++) {
    const damaged = file.slice();
    damaged[i]! ^= 1 + (i % 255);
    assert.throws(() => decodePng(damaged), FormatError, `changed at ${i}`);
  }
});
