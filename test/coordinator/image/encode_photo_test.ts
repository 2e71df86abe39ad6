import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import sharp from "sharp";
import { writeImage } from "../../../coordinator/image/pixels.ts";
import { readPictureRecord } from "../../../coordinator/jobs/picture_record.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const PARAMETERS = "ein Schloß 東京 😀\nNegative prompt: x\nSteps: 25, Sampler: DDIM";
const RED = f32([3, 16, 16], Array.from({ length: 3 * 256 }, (_, i) => i < 256 ? 0.6 : -0.8));

/** The text of EXIF's UserComment, as webui's reader finds it: eight bytes of a name, then UTF-16, big-endian. */
function userComment(exif: Uint8Array): string | undefined {
  const at = Buffer.from(exif).indexOf("UNICODE\0", 0, "latin1");
  if (at < 0) return undefined;
  const rest = Buffer.from(exif.subarray(at + 8, at + 8 + 2 * PARAMETERS.length));
  return rest.swap16().toString("utf16le");
}

for (const [name, format] of [["a.jpg", "jpeg"], ["a.JPEG", "jpeg"], ["a.webp", "webp"]] as const) {
  Deno.test(`writeImage() writes ${name} as ${format} with the infotext in EXIF`, async () => {
    await using folder = await tempFolder();
    const path = folder.join(name);
    await writeImage(path, RED, { parameters: PARAMETERS, tutti: "{}" });
    const file = await Deno.readFile(path);
    const found = await sharp(file).metadata();
    assert.deepEqual([found.format, found.width, found.height], [format, 16, 16]);
    assert.equal(userComment(found.exif!), PARAMETERS);
    const [r, g] = await sharp(file).raw().toBuffer();
    assert.ok(Math.abs(r! - 204) < 4 && Math.abs(g! - 25) < 4, `${r}, ${g}`);

    // Too long for EXIF: the picture is written all the same.
    await writeImage(path, RED, { parameters: "a".repeat(40_000) });
    assert.equal((await sharp(await Deno.readFile(path)).metadata()).format, format);

    await assert.rejects(readPictureRecord(path), {
      name: "FormatError",
      message: /must be a PNG file: (JPEG|WebP) files of tutti sample hold prompt/,
    });
  });
}
