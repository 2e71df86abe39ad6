/** PNG files of every kind that editors and optimisers write: 1 to 16 bits, palettes, alpha, interlaced (Adam7), EXIF. @module */

import { Buffer } from "node:buffer";
import { crc32, deflateSync } from "node:zlib";

export const WIDTH = 16, HEIGHT = 12;
/** Colour types of the format. */
export const GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6;
export type ColourType = 0 | 2 | 3 | 4 | 6;

export interface OddPng {
  readonly type: ColourType;
  readonly bits: 1 | 2 | 4 | 8 | 16;
  readonly isInterlaced?: boolean;
  readonly exif?: Uint8Array;
}

/** White above, red on the left, blue on the right; two entries are all that one bit has. */
const COLOURS = [[255, 255, 255], [220, 30, 30], [30, 30, 220]] as const;

function areaAt(x: number, y: number): 0 | 1 | 2 {
  return y < 4 ? 0 : x < WIDTH / 2 ? 1 : 2;
}

/** What a viewer shows there, to a rounding of low depths. */
export function shownAt({ type, bits }: OddPng, x: number, y: number): readonly number[] {
  const most = 2 ** bits - 1;
  const samples = samplesAt(type, bits, areaAt(x, y));
  if (type === PALETTE) return COLOURS[samples[0]!]!;
  const [r, g = r, b = r] = samples.slice(0, type === GREY || type === GREY_ALPHA ? 1 : 3);
  return [r!, g!, b!].map((value) => value * 255 / most);
}

function samplesAt(type: ColourType, bits: number, area: 0 | 1 | 2): readonly number[] {
  const most = 2 ** bits - 1;
  const scale = (value: number) => Math.floor(value * most / 255);
  const grey = scale([255, 80, 160][area]!), colour = COLOURS[area].map(scale);
  switch (type) {
    case GREY:
      return [grey];
    case GREY_ALPHA:
      return [grey, most];
    case RGB:
      return colour;
    case RGB_ALPHA:
      return [...colour, most];
    case PALETTE:
      return [Math.min(area, most)];
  }
}

/** First column and row of each pass, and the distances between its columns and rows. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

export function oddPng(png: OddPng): Uint8Array {
  const { type, bits, isInterlaced = false, exif } = png;
  const rows: Uint8Array[] = [];
  for (const [left, top, dx, dy] of isInterlaced ? ADAM7 : [[0, 0, 1, 1]] as const) {
    for (let y = top; y < HEIGHT; y += dy) {
      const samples: number[] = [];
      for (let x = left; x < WIDTH; x += dx) samples.push(...samplesAt(type, bits, areaAt(x, y)));
      if (samples.length > 0) rows.push(Uint8Array.of(0), packed(samples, bits));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  header.set([bits, type, 0, 0, isInterlaced ? 1 : 0], 8);
  const palette = COLOURS.slice(0, 2 ** bits).flat();
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    ...(type === PALETTE ? [chunk("PLTE", Uint8Array.from(palette))] : []),
    ...(exif ? [chunk("eXIf", exif)] : []),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", new Uint8Array()),
  ]);
}

/** Samples side by side, the first one in the highest bits; the rest of the last byte is 0. */
function packed(samples: readonly number[], bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(samples.length * bits / 8));
  samples.forEach((sample, i) => {
    if (bits === 16) bytes.set([sample >> 8, sample & 255], 2 * i);
    else bytes[Math.floor(i * bits / 8)]! |= sample << (8 - bits - i * bits % 8);
  });
  return bytes;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const bytes = Buffer.alloc(8 + body.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.set(body, 4);
  bytes.writeUInt32BE(crc32(body), 4 + body.length);
  return bytes;
}
