import assert from "node:assert/strict";
import sharp from "sharp";
import { decodePhoto, photoKind, photoSize } from "../../../coordinator/image/photo.ts";

/** Left half red, right half blue: 32 by 16. */
function picture() {
  const rgb = new Uint8Array(32 * 16 * 3);
  for (let i = 0; i < 32 * 16; i++) rgb.set(i % 32 < 16 ? [200, 30, 30] : [30, 30, 200], 3 * i);
  return sharp(rgb, { raw: { width: 32, height: 16, channels: 3 } });
}

type Rgb = { readonly width: number; readonly rgb: Uint8Array };

function colourAt({ width, rgb }: Rgb, x: number, y: number): "red" | "blue" {
  return rgb[(y * width + x) * 3]! > rgb[(y * width + x) * 3 + 2]! ? "red" : "blue";
}

const FILES = {
  JPEG: await picture().jpeg({ quality: 95 }).toBuffer(),
  WebP: await picture().webp({ quality: 95 }).toBuffer(),
} as const;

Deno.test("JPEG and WebP are read as the pictures that they show", async () => {
  for (const kind of ["JPEG", "WebP"] as const) {
    const file = FILES[kind];
    assert.equal(photoKind(file), kind);
    const image = await decodePhoto(file, kind);
    assert.deepEqual([image.width, image.height, image.rgb.length], [32, 16, 32 * 16 * 3]);
    assert.deepEqual([colourAt(image, 4, 8), colourAt(image, 28, 8)], ["red", "blue"]);
    assert.ok(Math.abs(image.rgb[(8 * 32 + 4) * 3]! - 200) < 8);
  }
  assert.equal(photoKind(Uint8Array.of(0x89, 0x50, 0x4e, 0x47)), undefined);
});

Deno.test("an image lies as its EXIF orientation says, and its size is told so", async () => {
  // 6: the camera was turned; what is stored on the left is seen at the top.
  const file = await picture().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer();
  assert.deepEqual(await photoSize(file, "JPEG"), { width: 16, height: 32 });
  const image = await decodePhoto(file, "JPEG");
  assert.deepEqual([image.width, image.height], [16, 32]);
  assert.deepEqual([colourAt(image, 8, 4), colourAt(image, 8, 28)], ["red", "blue"]);
});

Deno.test("gray, CMYK and half transparent images become three channels", async () => {
  const files = [
    ["JPEG", await picture().grayscale().jpeg().toBuffer()],
    ["JPEG", await picture().toColourspace("cmyk").jpeg().toBuffer()],
    ["WebP", await picture().ensureAlpha(0.5).webp().toBuffer()],
  ] as const;
  for (const [kind, file] of files) {
    assert.equal((await decodePhoto(file, kind)).rgb.length, 32 * 16 * 3);
  }
});

Deno.test("an image that is cut off or damaged is refused wherever it ends", async () => {
  for (const kind of ["JPEG", "WebP"] as const) {
    const file = FILES[kind];
    for (const share of [0.02, 0.3, 0.6, 0.9]) {
      const cut = file.subarray(0, Math.floor(share * file.length));
      await assert.rejects(decodePhoto(cut, kind), {
        name: "FormatError",
        message: new RegExp(`^${kind} image cannot be read: `),
      });
    }
    assert.equal((await decodePhoto(file, kind)).width, 32);
  }
});

Deno.test("an image of too many pixels is refused by its header, before memory is taken", async () => {
  const file = Uint8Array.from(FILES.JPEG);
  // SOF0: length, precision, height, width.
  const frame = file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xc0);
  new DataView(file.buffer).setUint16(frame + 5, 60_000);
  new DataView(file.buffer).setUint16(frame + 7, 60_000);
  const before = Deno.memoryUsage().rss;
  await assert.rejects(decodePhoto(file, "JPEG"), {
    name: "FormatError",
    message: "JPEG image must have at most 67108864 pixels: current size is 60000x60000",
  });
  assert.ok(Deno.memoryUsage().rss - before < 100_000_000);
});
