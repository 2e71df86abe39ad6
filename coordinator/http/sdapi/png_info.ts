/** `POST /sdapi/v1/png-info`: what a picture says about itself. @module */

import { base64Bytes } from "../runtime/picture_field.ts";
import { httpError } from "../server/http_error.ts";
import { type JsonObject, PICTURE_BYTES, readJsonObject } from "../server/request_body.ts";
import { type ParsedInfotext, parseInfotext } from "../../image/infotext.ts";
import { pngTexts } from "../../image/png.ts";

export async function pngInfo(request: Request): Promise<JsonObject> {
  const { image } = await readJsonObject(request, { maxBytes: PICTURE_BYTES });
  if (typeof image !== "string" || image.trim() === "") {
    return { info: "Image not found", items: {}, parameters: {} };
  }
  let items: Readonly<Record<string, string>>;
  try {
    items = pngTexts(base64Bytes(image));
  } catch {
    throw httpError(
      422,
      "INVALID_ARGUMENT",
      "Invalid encoded image: it must be a PNG file as base64",
    );
  }
  const info = items.parameters ?? "";
  return { info, items, parameters: info === "" ? {} : parametersOf(info) };
}

/** By the keys that the webui's reader has. */
function parametersOf(infotext: string): JsonObject {
  let parsed: ParsedInfotext;
  try {
    parsed = parseInfotext(infotext);
  } catch {
    // Of another program that writes other numbers.
    return {};
  }
  const { prompt, negativePrompt, steps, sampler, cfgScale, seed, width, height, extra } = parsed;
  const { modelHash, modelName, vaeHash, clipSkip = 1 } = parsed;
  const fields = {
    ...{ Prompt: prompt, "Negative prompt": negativePrompt, Steps: steps, Sampler: sampler },
    ...{ "CFG scale": cfgScale, Seed: seed, "Size-1": width, "Size-2": height },
    ...{ "Model hash": modelHash, Model: modelName, "VAE hash": vaeHash, "Clip skip": clipSkip },
    ...extra,
  };
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined)
      .map(([key, value]) => [key, String(value)]),
  );
}
