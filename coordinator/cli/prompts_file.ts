/**
 * A file of prompts (`--prompts`), one a line: as text, or as a JSON object with settings of its own. Empty lines and lines that
 * begin with `#` are nobody's prompt.
 *
 * @example
 * ```
 * a castle at dawn
 * {"prompt": "a castle in ink", "seed": 7, "steps": 30, "size": "768x512"}
 * ```
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { readRegularFile } from "../../shared/regular_file.ts";
import { show } from "../../shared/show.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { MAX_PROMPT_CHARS } from "../settings/limits.ts";
import type { SettingsTable } from "../settings/setting.ts";
import { type GivenSettings, SETTINGS } from "../settings/settings.ts";
import { textUpTo } from "../settings/value_types.ts";

/** One line's picture. */
export interface PromptLine {
  /** Where it stands, for errors: `Line 3 of "prompts.txt"`. */
  readonly where: string;
  readonly prompt: string;
  /** What the line itself says. */
  readonly settings: GivenSettings;
}

const PROMPT = textUpTo(MAX_PROMPT_CHARS);
const TABLE: SettingsTable = SETTINGS;

/** @throws {FormatError} if the file cannot be read or has no prompt, or naming the first line that is wrong */
export async function readPromptsFile(path: string): Promise<PromptLine[]> {
  const lines = parsePrompts(await readText(path), path);
  if (lines.length > 0) return lines;
  throw new FormatError(
    `File ${show(path)} must have a prompt: all its lines are empty or comments`,
  );
}

/** @param file for errors */
export function parsePrompts(text: string, file: string): PromptLine[] {
  return text.replace(/^\uFEFF/, "").split("\n").flatMap((line, index) => {
    const content = line.trim();
    if (content === "" || content.startsWith("#")) return [];
    const where = `Line ${index + 1} of ${show(file)}`;
    const { prompt, ...settings } = content.startsWith("{")
      ? parseFields(content, where)
      : { prompt: content };
    const read = PROMPT.read(prompt);
    if (!read) throw wrongField(where, "prompt", `${PROMPT.expected}, not empty`, prompt);
    return [{ where, prompt: read, settings: readSettings(settings, where) }];
  });
}

function parseFields(line: string, where: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new FormatError(
      `${where} begins as a JSON object and is none: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function readSettings(fields: Readonly<Record<string, unknown>>, where: string): GivenSettings {
  const values = Object.entries(fields).map(([name, value]) => {
    const row = Object.hasOwn(TABLE, name) ? TABLE[name] : undefined;
    if (!row) {
      const known = ["prompt", ...Object.keys(TABLE)];
      throw new FormatError(
        `${where}: ${show(name)} is no setting${didYouMean(name, known)}: ` +
          `settings are ${known.join(", ")}`,
        { details: { field: name.slice(0, 100) } },
      );
    }
    const { expected, read } = row.type.inFile ?? row.type;
    const setting = read(value);
    if (setting === undefined) throw wrongField(where, name, expected, value);
    return [name, setting];
  });
  return Object.fromEntries(values);
}

function wrongField(where: string, field: string, expected: string, value: unknown): FormatError {
  const current = value === undefined ? "absent" : show(value);
  return new FormatError(`${where}: "${field}" must be ${expected}: current value is ${current}`, {
    details: { field },
  });
}

async function readText(path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readRegularFile(path));
  } catch (cause) {
    const reason = cause instanceof TypeError ? "it is not UTF-8" : (cause as Error).message;
    throw new FormatError(`Cannot read the prompts in ${show(path)}: ${reason}`, { cause });
  }
}
