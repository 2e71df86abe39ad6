/** A picture in a request: a PNG, JPEG or WebP file as base64, with or without the head of a data URL. @module */

import { Buffer } from "node:buffer";
import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { decodeImage } from "../../image/read_image.ts";
import type { RgbImage } from "../../image/resize.ts";
import { wrongField } from "./job_request.ts";

const EXPECTED = "a picture as base64 text: PNG, JPEG or WebP";

/** The bytes behind the text. */
export function base64Bytes(text: string): Uint8Array {
  return Buffer.from(text.replace(/^data:[\w/+.-]*;base64,/, ""), "base64");
}

/** @throws {UsageError} naming the field, without the text, which is long */
export async function readPictureField(value: unknown, field: string): Promise<RgbImage> {
  if (typeof value !== "string") throw wrongField(field, EXPECTED, value);
  try {
    return await decodeImage(base64Bytes(value));
  } catch (cause) {
    const { message } = TuttiError.from(cause);
    throw new UsageError(`"${field}" must be ${EXPECTED}: ${message}`, {
      cause,
      details: { field },
    });
  }
}
