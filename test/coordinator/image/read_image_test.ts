import assert from "node:assert/strict";
import sharp from "sharp";
import { decodeImage, imageSize } from "../../../coordinator/image/read_image.ts";
import {
  GREY,
  GREY_ALPHA,
  HEIGHT,
  type OddPng,
  oddPng,
  PALETTE,
  RGB,
  RGB_ALPHA,
  shownAt,
  WIDTH,
} from "./odd_png.ts";

const KINDS: readonly OddPng[] = [
  ...([1, 2, 4, 8, 16] as const).map((bits) => ({ type: GREY, bits } as const)),
  ...([8, 16] as const).map((bits) => ({ type: RGB, bits } as const)),
  ...([1, 2, 4, 8] as const).map((bits) => ({ type: PALETTE, bits } as const)),
  ...([8, 16] as const).map((bits) => ({ type: GREY_ALPHA, bits } as const)),
  ...([8, 16] as const).map((bits) => ({ type: RGB_ALPHA, bits } as const)),
  { type: RGB, bits: 8, isInterlaced: true },
  { type: PALETTE, bits: 4, isInterlaced: true },
  { type: RGB_ALPHA, bits: 16, isInterlaced: true },
];

for (const png of KINDS) {
  Deno.test(`decodeImage() reads a PNG of ${JSON.stringify(png)}`, async () => {
    const bytes = oddPng(png);
    assert.deepEqual(await imageSize(bytes), { width: WIDTH, height: HEIGHT });
    const { width, height, rgb } = await decodeImage(bytes);
    assert.deepEqual([width, height, rgb.length], [WIDTH, HEIGHT, 3 * WIDTH * HEIGHT]);
    for (const [x, y] of [[0, 0], [15, 3], [0, 4], [7, 11], [8, 4], [15, 11], [3, 7]] as const) {
      const found = rgb.subarray(3 * (y * width + x)).subarray(0, 3);
      shownAt(png, x, y).forEach((value, c) => {
        assert.ok(Math.abs(found[c]! - value) <= 1, `${x},${y}: ${found} is not about ${value}`);
      });
    }
  });
}

Deno.test("a PNG lies as its EXIF orientation says, as photos do", async () => {
  // Big-endian, one entry: tag 0x112, SHORT, 6 (what is stored on the left is seen at the top).
  const exif = Uint8Array.fromHex("4d4d002a000000080001" + "011200030000000100060000" + "00000000");
  const bytes = oddPng({ type: RGB, bits: 8, exif });
  assert.deepEqual(await imageSize(bytes), { width: HEIGHT, height: WIDTH });
  const { width, rgb } = await decodeImage(bytes);
  const at = (x: number, y: number) => [...rgb.subarray(3 * (y * width + x)).subarray(0, 3)];
  assert.equal(width, HEIGHT);
  // White is seen on the right, red above blue.
  assert.deepEqual([at(11, 0), at(0, 0), at(0, 15)], [
    ...[[255, 255, 255], [220, 30, 30], [30, 30, 220]],
  ]);
});

const picture = () =>
  sharp(new Uint8Array(64 * 64 * 3).fill(90), { raw: { width: 64, height: 64, channels: 3 } });
const text = (value: string) => new TextEncoder().encode(value);

const OTHERS: readonly (readonly [name: string, bytes: Uint8Array, what: RegExp])[] = [
  ["AVIF", await picture().avif({ effort: 0 }).toBuffer(), /it is AVIF; "magick/],
  ["TIFF", await picture().tiff().toBuffer(), /it is TIFF; "magick/],
  ["GIF", await picture().gif().toBuffer(), /it is GIF; "magick/],
  ["a web page", text("<!DOCTYPE html><title>Sign in</title>"), /it is a web page$/],
  ["a git-lfs pointer", text("version https://git-lfs.github.com/spec/v1\n"), /it is a git-lfs/],
  ["nothing", new Uint8Array(), /it is empty$/],
  ["words", text("words"), /it is of no kind that is known$/],
];

for (const [name, bytes, what] of OTHERS) {
  Deno.test(`decodeImage() says what a file is that is ${name}`, async () => {
    const error = { name: "FormatError", message: what };
    await assert.rejects(decodeImage(bytes), error);
    await assert.rejects(imageSize(bytes), error);
  });
}
