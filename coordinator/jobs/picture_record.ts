/** What a picture that Tutti drew says about itself, read back so that it can be drawn again. @module */

import { FormatError } from "../../shared/errors.ts";
import { readRegularFile } from "../../shared/regular_file.ts";
import { show } from "../../shared/show.ts";
import { photoKind } from "../image/photo.ts";
import { decodePng } from "../image/png.ts";
import { findMethod } from "../sampling/methods/methods.ts";
import { parseMethod } from "../sampling/methods/method_text.ts";
import { settingsFromMetadata } from "../settings/setting_records.ts";
import { type GivenSettings, JOB_SETTINGS, SETTINGS } from "../settings/settings.ts";
import type { RunConditions } from "./prepare_job.ts";

export interface PictureRecord {
  readonly prompt: string;
  readonly settings: GivenSettings;
  /** What else its bits followed from. */
  readonly conditions: RunConditions;
}

/** A picture of 16,384 pixels a side, uncompressed, is smaller. */
const MAX_FILE_BYTES = 2 ** 30;

/** @throws {FormatError} if it is no PNG file, or one that Tutti did not draw */
export async function readPictureRecord(path: string): Promise<PictureRecord> {
  const bytes = await readPictureFile(path);
  const kind = photoKind(bytes);
  if (kind !== undefined && kind !== "PNG") {
    throw new FormatError(
      `Picture ${
        show(path)
      } must be a PNG file: ${kind} files of tutti sample hold prompt and parameters for other tools, and not all that a picture is drawn again by`,
    );
  }
  const { tutti } = decodePng(bytes).text;
  if (tutti === undefined) {
    throw new FormatError(
      `Picture ${
        show(path)
      } does not say how it was drawn: it has no text chunk "tutti", as pictures of tutti sample have`,
    );
  }
  const record = parseRecord(tutti, path);
  const { prompt, seed, width, height, method, aggregatedBlocks, conditions = {} } = record;
  const wrong = (field: string, expected: string, value: unknown) =>
    new FormatError(
      `Picture ${show(path)}: ${show(field)} must be ${expected}: current value is ${show(value)}`,
      { details: { field } },
    );
  if (typeof prompt !== "string") throw wrong("prompt", "a string", prompt);
  const read = <T>(
    field: string,
    type: { expected: string; read(value: unknown): T | undefined },
    value: unknown,
  ): T => {
    const result = type.read(value);
    if (result === undefined) throw wrong(field, type.expected, value);
    return result;
  };
  const name = method === undefined ? undefined : read("method", JOB_SETTINGS.method.type, method);
  const takesBlocks = name !== undefined && findMethod(parseMethod(name).name).takesBlocks;
  return {
    prompt,
    conditions: conditions as RunConditions,
    settings: {
      ...settingsFromMetadata(JOB_SETTINGS, record, wrong),
      seed: read("seed", SETTINGS.seed.type, seed),
      size: read("size", SETTINGS.size.type, { width, height }),
      ...(name !== undefined && { method: name }),
      ...(takesBlocks && aggregatedBlocks !== undefined && {
        aggregate: read("aggregatedBlocks", JOB_SETTINGS.aggregate.type, aggregatedBlocks),
      }),
    },
  };
}

/** One line for each condition that is not as it was: the picture will differ. */
export function differingConditions(before: RunConditions, now: RunConditions): string[] {
  return Object.keys(before).filter((name) => name in now && now[name] !== before[name]).map(
    (name) => `${name} was ${show(before[name])} and is ${show(now[name])}: expect other bits`,
  );
}

async function readPictureFile(path: string): Promise<Uint8Array> {
  try {
    return await readRegularFile(path, MAX_FILE_BYTES);
  } catch (cause) {
    throw new FormatError(`Cannot read picture ${show(path)}: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function parseRecord(text: string, path: string): Record<string, unknown> {
  try {
    const record = JSON.parse(text);
    if (typeof record === "object" && record !== null) return record;
  } catch {
    // Said below.
  }
  throw new FormatError(`Picture ${show(path)}: its text chunk "tutti" must be a JSON object`);
}
