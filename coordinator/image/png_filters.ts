/**
 * PNG's five row filters: each byte is stored as its difference from a prediction made of the bytes
 * to the left, above and above left (PNG specification, third edition, section 9).
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";

const FILTERS = 5;

/** What filter type `filter` (0 none, 1 sub, 2 up, 3 average, 4 Paeth) predicts for a byte. */
function predict(filter: number, left: number, up: number, upLeft: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const toLeft = Math.abs(up - upLeft);
      const toUp = Math.abs(left - upLeft);
      const toUpLeft = Math.abs(left + up - 2 * upLeft);
      if (toLeft <= toUp && toLeft <= toUpLeft) return left;
      return toUp <= toUpLeft ? up : upLeft;
    }
    default:
      return 0;
  }
}

/**
 * Filters `rows` rows of `rowBytes` bytes, each row with the filter whose differences are smallest in
 * sum: the usual heuristic for what deflate will like.
 *
 * @param pixelBytes bytes of one pixel, the distance to the byte on the left
 * @returns per row one filter type byte and the filtered bytes
 */
export function filterRows(
  pixels: Uint8Array,
  { rows, rowBytes, pixelBytes }: { rows: number; rowBytes: number; pixelBytes: number },
): Uint8Array {
  const result = new Uint8Array(rows * (rowBytes + 1));
  const candidate = new Uint8Array(rowBytes);
  for (let y = 0; y < rows; y++) {
    const start = y * rowBytes;
    const target = y * (rowBytes + 1);
    let smallest = Infinity;
    for (let filter = 0; filter < FILTERS; filter++) {
      let sum = 0;
      for (let i = 0; i < rowBytes; i++) {
        const left = i < pixelBytes ? 0 : pixels[start + i - pixelBytes]!;
        const up = y === 0 ? 0 : pixels[start + i - rowBytes]!;
        const upLeft = y === 0 || i < pixelBytes ? 0 : pixels[start + i - rowBytes - pixelBytes]!;
        const delta = (pixels[start + i]! - predict(filter, left, up, upLeft)) & 255;
        candidate[i] = delta;
        sum += delta < 128 ? delta : 256 - delta;
      }
      if (sum < smallest) {
        smallest = sum;
        result[target] = filter;
        result.set(candidate, target + 1);
      }
    }
  }
  return result;
}

/**
 * Undoes `filterRows` for any choice of filters.
 *
 * @param filtered per row one filter type byte and `rowBytes` bytes
 * @throws {FormatError} if a filter type is not 0 to 4
 */
export function unfilterRows(
  filtered: Uint8Array,
  { rows, rowBytes, pixelBytes }: { rows: number; rowBytes: number; pixelBytes: number },
): Uint8Array {
  const pixels = new Uint8Array(rows * rowBytes);
  for (let y = 0; y < rows; y++) {
    const source = y * (rowBytes + 1);
    const start = y * rowBytes;
    const filter = filtered[source]!;
    if (filter >= FILTERS) {
      throw new FormatError(
        `PNG filter type of row ${y} must be 0 to ${FILTERS - 1}: current value is ${filter}`,
      );
    }
    for (let i = 0; i < rowBytes; i++) {
      const left = i < pixelBytes ? 0 : pixels[start + i - pixelBytes]!;
      const up = y === 0 ? 0 : pixels[start + i - rowBytes]!;
      const upLeft = y === 0 || i < pixelBytes ? 0 : pixels[start + i - rowBytes - pixelBytes]!;
      pixels[start + i] = filtered[source + 1 + i]! + predict(filter, left, up, upLeft);
    }
  }
  return pixels;
}
