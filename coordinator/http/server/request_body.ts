/** Bodies of requests, bounded in size and time before they are kept. @module */

import { show } from "../../../shared/show.ts";
import { formatBytes } from "../../../shared/terminal/units.ts";
import { httpError } from "./http_error.ts";

/** Of bodies that hold no picture. */
const JSON_BYTES = 2 ** 20;
/** Of bodies that hold pictures. */
export const PICTURE_BYTES = 64 * 2 ** 20;
/** A body that is slower takes up a connection for nothing. */
const BODY_MS = 60_000;

export interface BodyLimits {
  /** @default 1 MiB */
  readonly maxBytes?: number;
  /** @default 60 s */
  readonly maxMs?: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * A body as JSON, whatever content type it comes with; none is an empty object.
 *
 * @throws {TuttiError} INVALID_ARGUMENT with status 400, 408 or 413
 */
export async function readJsonObject(request: Request, limits?: BodyLimits): Promise<JsonObject> {
  return jsonObject(await readText(request, limits));
}

/** @throws {TuttiError} as `readJsonObject()` */
export function jsonObject(text: string): JsonObject {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text, wholeDigits);
  } catch (error) {
    throw httpError(400, "INVALID_ARGUMENT", `The body must be JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw httpError(400, "INVALID_ARGUMENT", `The body must be a JSON object: it is ${show(value)}`);
}

/** Seeds go beyond what a number of JavaScript can count: such a number stays a string of its digits. */
function wholeDigits(_key: string, value: unknown, context?: { readonly source?: string }) {
  const isLost = Number.isInteger(value) && !Number.isSafeInteger(value);
  const digits = context?.source ?? "";
  return isLost && /^\d+$/.test(digits) ? digits : value;
}

/** @throws {TuttiError} as `readJsonObject()` */
export async function readText(request: Request, limits?: BodyLimits): Promise<string> {
  return await (await readBlob(request, limits)).text();
}

/**
 * A body as a form with files.
 *
 * @throws {TuttiError} as `readJsonObject()`
 */
export async function readForm(request: Request, limits?: BodyLimits): Promise<FormData> {
  const type = request.headers.get("content-type") ?? "";
  const body = await readBlob(request, limits);
  try {
    return await new Response(body, { headers: { "content-type": type } }).formData();
  } catch (error) {
    throw httpError(
      400,
      "INVALID_ARGUMENT",
      `The body must be a form, as multipart/form-data: its content type is ${show(type)}: ${
        (error as Error).message
      }`,
    );
  }
}

async function readBlob(
  request: Request,
  { maxBytes = JSON_BYTES, maxMs = BODY_MS }: BodyLimits = {},
): Promise<Blob> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  if (!request.body) return new Blob();
  const reader = request.body.getReader();
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), maxMs);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  try {
    for (let size = 0;;) {
      const piece = await Promise.race([reader.read(), late.promise]);
      if (piece === "late") {
        throw httpError(408, "INVALID_ARGUMENT", `The body must arrive within ${maxMs / 1000} s`);
      }
      if (piece.done) break;
      size += piece.value.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      pieces.push(piece.value as Uint8Array<ArrayBuffer>);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return new Blob(pieces);
}

function tooLarge(maxBytes: number) {
  return httpError(
    413,
    "INVALID_ARGUMENT",
    `The body must have at most ${formatBytes(maxBytes)}`,
  );
}
