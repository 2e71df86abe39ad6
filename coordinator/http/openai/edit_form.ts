/** The form of `/v1/images/edits`: fields as `generations` has them, a picture, and a mask that is transparent where it is drawn anew. @module */

import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { decodeTransparency, photoKind } from "../../image/photo.ts";
import { decodeImage } from "../../image/read_image.ts";
import type { RgbImage } from "../../image/resize.ts";
import type { InitPicture } from "../../jobs/init_picture.ts";
import { wrongField } from "../runtime/job_request.ts";
import type { JsonObject } from "../server/request_body.ts";

/** A form has texts alone: what they are in JSON. */
const NUMBERS = [
  ...["n", "partial_images", "seed", "num_inference_steps"],
  ...["guidance_scale", "true_cfg_scale", "strength"],
];

/** @throws {UsageError} naming the field, in `details.field`, too */
export async function readEditForm(
  form: FormData,
): Promise<{ readonly body: JsonObject; readonly init: InitPicture }> {
  const fields: Record<string, unknown> = {};
  const files: Record<string, File[]> = {};
  for (const [key, value] of form) {
    // Several pictures come as `image[]`; one does from some clients, too.
    const name = key.replace(/\[\]$/, "");
    if (typeof value === "string") fields[name] = jsonValue(name, value);
    else (files[name] ??= []).push(value);
  }
  const { image: images = [], mask: masks = [], ...others } = files;
  const [image] = images, [mask] = masks;
  const [other] = Object.keys(others);
  if (other !== undefined) throw refusal(other, "a text, or left out: it is a file");
  if (!image || images.length > 1) {
    throw refusal("image", `one picture as a file: there are ${images.length}`);
  }
  if (masks.length > 1) throw refusal("mask", `one picture as a file: there are ${masks.length}`);
  const start = await decodeField(image, "image", decodeImage);
  if (!mask) {
    if (fields.mask !== undefined) throw wrongField("mask", "a picture as a file", fields.mask);
    return { body: fields, init: { image: start } };
  }
  return { body: fields, init: { image: start, mask: await decodeField(mask, "mask", readMask) } };
}

function jsonValue(name: string, text: string): unknown {
  if (name === "stream") return text === "true" ? true : text === "false" ? false : text;
  // Seeds beyond what a number of JavaScript can count stay a string of their digits.
  const number = Number(text);
  const isNumber = text.trim() !== "" && Number.isFinite(number);
  const isLost = Number.isInteger(number) && !Number.isSafeInteger(number);
  return NUMBERS.includes(name) && isNumber && !isLost ? number : text;
}

/** White where the file is transparent. */
async function readMask(bytes: Uint8Array): Promise<RgbImage> {
  const kind = photoKind(bytes);
  // What is no picture is refused in the words for any.
  if (kind === undefined) return await decodeImage(bytes);
  const mask = await decodeTransparency(bytes, kind);
  if (mask) return mask;
  throw new UsageError(
    `it has no alpha channel: what is to be drawn anew must be transparent in it`,
  );
}

async function decodeField(
  file: File,
  field: string,
  decode: (bytes: Uint8Array) => Promise<RgbImage>,
): Promise<RgbImage> {
  try {
    return await decode(new Uint8Array(await file.arrayBuffer()));
  } catch (cause) {
    const { message } = TuttiError.from(cause);
    throw refusal(field, `a PNG, JPEG or WebP file: ${show(file.name)}: ${message}`, cause);
  }
}

function refusal(field: string, expected: string, cause?: unknown): UsageError {
  return new UsageError(`"${field}" must be ${expected}`, { cause, details: { field } });
}
