/**
 * PNG files, written and read without a native library: 8 bits a channel, not interlaced, with text
 * chunks (PNG specification, third edition).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { crc32, deflateSync, inflateSync } from "node:zlib";
import { FormatError, ShapeError } from "../../shared/errors.ts";
import { filterRows, unfilterRows } from "./png_filters.ts";
import { type Chunk, decodeText, encodeText } from "./png_text.ts";
import { MAX_PIXELS } from "./resize.ts";

export interface PngImage {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue, one byte each, row by row from the top: `[height, width, 3]`. */
  readonly rgb: Uint8Array;
  /** Text by keyword; image tools look for the infotext under `parameters`. */
  readonly text: Readonly<Record<string, string>>;
  /** Written as a chunk of its own; not read. */
  readonly exif?: Uint8Array;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Bytes of a chunk besides its data: length, type, CRC. */
const CHUNK_OVERHEAD = 12;
/** The type "eXIf" as a number. */
const EXIF = 0x65584966;
const PALETTE = 3;
/** Channels by colour type: gray, RGB, palette index, gray and alpha, RGB and alpha. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, [PALETTE]: 1, 4: 2, 6: 4 };

/**
 * The bytes of an 8-bit RGB PNG file.
 *
 * @throws {ShapeError} if `rgb` does not have width x height x 3 bytes
 * @throws {FormatError} if a text keyword is not allowed
 */
export function encodePng({ width, height, rgb, text, exif }: PngImage): Uint8Array {
  if (!Number.isInteger(width * height) || width < 1 || height < 1) {
    throw new ShapeError(`Image size must be at least 1x1: current size is ${width}x${height}`);
  }
  const rowBytes = width * 3;
  if (rgb.length !== height * rowBytes) {
    throw new ShapeError(
      `Image of ${width}x${height} must have ${height * rowBytes} bytes: ` +
        `current count is ${rgb.length}`,
    );
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // bit depth, colour type RGB; the three methods after them are 0
  const pixels = deflateSync(filterRows(rgb, { rows: height, rowBytes, pixelBytes: 3 }));
  return Buffer.concat([
    SIGNATURE,
    encodeChunk({ type: "IHDR", data: header }),
    ...Object.entries(text).map(([keyword, value]) => encodeChunk(encodeText(keyword, value))),
    ...(exif ? [encodeChunk({ type: "eXIf", data: exif })] : []),
    encodeChunk({ type: "IDAT", data: pixels }),
    encodeChunk({ type: "IEND", data: new Uint8Array() }),
  ]);
}

/** Width and height; reads no more than the header. @throws {FormatError} as `decodePng()` does, of the header */
export function pngSize(bytes: Uint8Array): Pick<PngImage, "width" | "height"> {
  const [first] = readChunks(bytes);
  const { width, height } = readHeader(first ? [first] : []);
  return { width, height };
}

/** The texts alone: pixels are not looked at. @throws {FormatError} as `decodePng()` does, of chunks */
export function pngTexts(bytes: Uint8Array): PngImage["text"] {
  return textsOf([...readChunks(bytes)]);
}

/**
 * Whether `decodePng()` gives what viewers show: 8 bits a channel, not interlaced, and no EXIF, which may turn the picture. A file
 * that is cut off or damaged counts as usual: `decodePng()` says what is wrong with it.
 */
export function isUsualPng(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > 28 && (bytes[24] !== 8 || bytes[28] === 1)) return false;
  for (let offset = SIGNATURE.length; offset + CHUNK_OVERHEAD <= bytes.length;) {
    if (view.getUint32(offset + 4) === EXIF) return false;
    offset += CHUNK_OVERHEAD + view.getUint32(offset);
  }
  return true;
}

/**
 * Reads a PNG file of 8 bits a channel: gray, RGB or palette, with or without alpha (which is
 * dropped, not blended). Of several texts under one keyword the last counts.
 *
 * @throws {FormatError} if the file is damaged, or of a kind that is not read (interlaced, another
 *   depth, more than 2^26 pixels)
 */
export function decodePng(bytes: Uint8Array): PngImage {
  const chunks = [...readChunks(bytes)];
  const header = readHeader(chunks);
  const { width, height, colourType } = header;
  const pixelBytes = CHANNELS[colourType]!;
  const layout = { rows: height, rowBytes: width * pixelBytes, pixelBytes };
  const data = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const filtered = inflatePixels(Buffer.concat(data), layout.rows * (layout.rowBytes + 1));
  const pixels = unfilterRows(filtered, layout);
  const palette = chunks.find(({ type }) => type === "PLTE")?.data;
  const rgb = colourType === PALETTE
    ? lookUp(pixels, palette)
    : colourType === 2
    ? pixels
    : toRgb(pixels, pixelBytes);
  return { width, height, rgb, text: textsOf(chunks) };
}

function textsOf(chunks: readonly Chunk[]): PngImage["text"] {
  return Object.fromEntries(chunks.flatMap((chunk) => {
    const entry = decodeText(chunk);
    return entry === undefined ? [] : [entry];
  }));
}

function encodeChunk({ type, data }: Chunk): Uint8Array {
  const chunk = Buffer.alloc(CHUNK_OVERHEAD + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, "latin1");
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** Every chunk up to and with IEND. What follows IEND is ignored, as image viewers do. */
function* readChunks(bytes: Uint8Array): Generator<Chunk> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw new FormatError("PNG file must begin with the PNG signature");
  }
  for (let offset = SIGNATURE.length;;) {
    const left = file.length - offset - CHUNK_OVERHEAD;
    if (left < 0) throw new FormatError(`PNG file ends at byte ${file.length}, before its IEND`);
    const length = file.readUInt32BE(offset);
    const type = file.toString("latin1", offset + 4, offset + 8);
    if (length > left) {
      throw new FormatError(
        `PNG chunk "${type}" at byte ${offset} must have at most ${left} bytes: ` +
          `current length is ${length}`,
      );
    }
    const end = offset + 8 + length;
    if (crc32(file.subarray(offset + 4, end)) !== file.readUInt32BE(end)) {
      throw new FormatError(`PNG chunk "${type}" at byte ${offset} has a wrong checksum`);
    }
    yield { type, data: file.subarray(offset + 8, end) };
    if (type === "IEND") return;
    offset = end + 4;
  }
}

/** The first chunk, checked against what this reader can do. */
function readHeader([first]: readonly Chunk[]) {
  if (first?.type !== "IHDR" || first.data.length !== 13) {
    throw new FormatError(`PNG file must begin with an IHDR chunk of 13 bytes`);
  }
  const view = new DataView(first.data.buffer, first.data.byteOffset, first.data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colourType, compression, filter, interlace] = first.data.subarray(8);
  if (width < 1 || height < 1 || width * height > MAX_PIXELS) {
    throw new FormatError(
      `PNG image must have 1 to ${MAX_PIXELS} pixels: current size is ${width}x${height}`,
    );
  }
  if (depth !== 8 || CHANNELS[colourType!] === undefined) {
    throw new FormatError(
      `PNG image must have 8 bits a channel and colour type 0, 2, 3, 4 or 6: ` +
        `current depth is ${depth}, colour type ${colourType}`,
    );
  }
  if (compression !== 0 || filter !== 0 || interlace !== 0) {
    throw new FormatError(
      `PNG image must be deflated, filtered by method 0 and not interlaced: ` +
        `current methods are ${compression}, ${filter} and ${interlace}`,
    );
  }
  return { width, height, colourType: colourType! };
}

/** Inflates to exactly `size` bytes; never holds more than that, whatever the input claims. */
function inflatePixels(data: Uint8Array, size: number): Uint8Array {
  let pixels: Uint8Array;
  try {
    pixels = inflateSync(data, { maxOutputLength: size });
  } catch (cause) {
    throw new FormatError(`PNG image data must inflate to ${size} bytes`, { cause });
  }
  if (pixels.length !== size) {
    throw new FormatError(
      `PNG image data must inflate to ${size} bytes: current count is ${pixels.length}`,
    );
  }
  return pixels;
}

/** Gray (1), gray and alpha (2) or RGB and alpha (4 channels) to RGB. */
function toRgb(pixels: Uint8Array, channels: number): Uint8Array {
  const count = pixels.length / channels;
  const rgb = new Uint8Array(count * 3);
  const isGray = channels < 3;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = pixels[i * channels + (isGray ? 0 : c)]!;
  }
  return rgb;
}

function lookUp(indices: Uint8Array, palette: Uint8Array | undefined): Uint8Array {
  const colours = (palette?.length ?? 0) / 3;
  if (palette === undefined || !Number.isInteger(colours) || colours < 1 || colours > 256) {
    throw new FormatError(
      `PNG palette must have 1 to 256 colours of 3 bytes: ` +
        `current length is ${palette?.length ?? 0} bytes`,
    );
  }
  const rgb = new Uint8Array(indices.length * 3);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (index >= colours) {
      throw new FormatError(
        `PNG palette index must be below ${colours}: current value is ${index} at pixel ${i}`,
      );
    }
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = palette[index * 3 + c]!;
  }
  return rgb;
}
