import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { imageToRgb, writeImage } from "../../../coordinator/image/pixels.ts";
import { decodePng } from "../../../coordinator/image/png.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

Deno.test("imageToRgb() maps -1..1 to 0..255, clamps, and interleaves the channels", () => {
  const image = f32([3, 1, 2], [-1, 1, -7, 7, 0.5, -0.5]);
  // 0.75 * 255 = 191.25, 0.25 * 255 = 63.75
  assert.deepEqual([...imageToRgb(image)], [0, 0, 191, 255, 255, 64]);
});

Deno.test("imageToRgb() rounds half to even, as diffusers does", () => {
  for (const [n, expected] of [[128, 128], [129, 130], [180, 180], [253, 254]] as const) {
    const unit = Math.fround((n + 0.5) / 255);
    assert.equal(Math.fround(unit * 255), n + 0.5, "the case must lie exactly between two bytes");
    assert.deepEqual([...imageToRgb(f32([3, 1, 1], [2 * unit - 1, 0, 0]))], [expected, 128, 128]);
  }
});

Deno.test("imageToRgb() refuses NaN and other shapes", () => {
  assert.throws(() => imageToRgb(f32([3, 1, 2], [0, 0, 0, NaN, 0, 0])), {
    name: "TuttiError",
    code: "DATA_LOSS",
    message: "Image must have numbers only: current value at [1, 0, 1] is NaN",
  });
  for (const shape of [[1, 3, 2, 2], [4, 2, 2], [3, 4]]) {
    assert.throws(() => imageToRgb(f32(shape)), {
      name: "ShapeError",
      message: `Image must have shape [3, H, W]: current shape is [${shape.join(", ")}]`,
    });
  }
});

Deno.test("writeImage() writes picture and text, makes folders, and leaves nothing else", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "new", "image.png");
    await writeImage(path, f32([3, 1, 2], [1, -1, 1, -1, 1, -1]), { parameters: "Steps: 25" });
    assert.deepEqual(decodePng(await readFile(path)), {
      width: 2,
      height: 1,
      rgb: Uint8Array.of(255, 255, 255, 0, 0, 0),
      text: { parameters: "Steps: 25" },
    });
    assert.deepEqual(await readdir(join(folder, "new")), ["image.png"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

Deno.test("writeImage() names the file that it cannot write and removes its partial file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "image.png");
    await mkdir(path); // a folder of the name stands in the way
    await assert.rejects(writeImage(path, f32([3, 1, 1])), (error: unknown) => {
      assert.ok(error instanceof TuttiError);
      assert.ok(error.message.startsWith(`Cannot write image "${path}": `), error.message);
      return true;
    });
    assert.deepEqual(await readdir(folder), ["image.png"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
