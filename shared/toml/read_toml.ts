/** Reads a TOML file whole, as a table whose keys are then read strictly. @module */

import { parse, TomlError } from "smol-toml";
import { FormatError } from "../errors.ts";
import { readRegularFile } from "../regular_file.ts";
import { TomlFields } from "./toml_fields.ts";

/** Far more than anyone writes by hand. */
const MAX_FILE_BYTES = 2 ** 20;

/**
 * @param file absolute path
 * @param kind what the file is, for messages: `ensemble file`
 * @throws {FormatError} if it cannot be read, or is no TOML; with line and column
 */
export async function readToml(file: string, kind: string): Promise<TomlFields> {
  return parseToml(file, kind, await readText(file, kind));
}

async function readText(file: string, kind: string): Promise<string> {
  try {
    const bytes = await readRegularFile(file, MAX_FILE_BYTES);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const reason = cause instanceof TypeError ? "it must be UTF-8 text" : reasonOf(cause);
    throw new FormatError(`Cannot read ${kind} "${file}": ${reason}`, { cause });
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * @param file where the text stands, for messages
 * @throws {FormatError} if it is no TOML; with line and column
 */
export function parseToml(file: string, kind: string, text: string): TomlFields {
  try {
    return new TomlFields(file, "", parse(text, { maxDepth: 16 }));
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // Its message goes on with an excerpt of several lines: the first names the problem.
    const problem = cause.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    throw new FormatError(
      `${file}:${cause.line}:${cause.column}: ${capital(kind)} must be TOML: ${problem}`,
      { cause, details: { file, line: String(cause.line), column: String(cause.column) } },
    );
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
