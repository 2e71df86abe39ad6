/** What `/sdapi/v1/img2img` takes besides the fields of `txt2img`: a picture, and a mask of what is drawn anew. @module */

import { UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import type { RgbImage } from "../../image/resize.ts";
import type { InitPicture } from "../../jobs/init_picture.ts";
import { wrongField } from "../runtime/job_request.ts";
import { readPictureField } from "../runtime/picture_field.ts";
import type { JsonObject } from "../server/request_body.ts";

interface OnlyValue {
  readonly field: string;
  readonly value: number | boolean;
  readonly what: string;
}

/** What the webui has several ways of and Tutti one. */
const ALWAYS: readonly OnlyValue[] = [
  { field: "resize_mode", value: 0, what: "pictures are stretched" },
];
const WITH_MASK: readonly OnlyValue[] = [
  { field: "inpainting_fill", value: 1, what: "what is under the mask is where it starts" },
  { field: "inpaint_full_res", value: false, what: "the whole picture is drawn" },
];

/** @throws {UsageError} in the webui's words */
export async function readInitImages(body: JsonObject): Promise<InitPicture> {
  const { init_images: images, mask } = body;
  if (!Array.isArray(images) || images.length !== 1) {
    const current = Array.isArray(images) ? `${images.length} of them` : images;
    throw wrongField("init_images", "a list of one picture, as base64 text", current);
  }
  refuseOthers(body, ALWAYS);
  const image = await readPictureField(images[0], "init_images");
  if ((mask ?? undefined) === undefined || mask === "") return { image };
  refuseOthers(body, WITH_MASK);
  const painted = await readPictureField(mask, "mask");
  return { image, mask: body.inpainting_mask_invert === 1 ? inverted(painted) : painted };
}

/** A field that is left out means what Tutti does. */
function refuseOthers(body: JsonObject, fields: readonly OnlyValue[]): void {
  for (const { field, value, what } of fields) {
    const asked = body[field] ?? undefined;
    // Clients send 0 and 1 for false and true.
    if (asked === undefined || Number(asked) === Number(value)) continue;
    throw new UsageError(
      `"${field}" must be ${value} or left out: ${what}: current value is ${show(asked)}`,
      { details: { field } },
    );
  }
}

function inverted({ width, height, rgb }: RgbImage): RgbImage {
  return { width, height, rgb: rgb.map((value) => 255 - value) };
}
