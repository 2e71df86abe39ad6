/**
 * Holds what commands print with `--json` against the schemas of `docs/json/`. Those are open, so that a key that is added breaks no
 * reader; here they are closed: a key that no schema tells of is an error.
 *
 * @module
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { DOCS } from "../../shared/project_files.ts";

export const SCHEMAS: string = join(DOCS, "json");
export const SCHEMA_ENDING = ".schema.json";

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
const validators = new Map<string, Promise<ValidateFunction>>();

/** `zoo-train` of `zoo train --out zoo --json`; benchmarks have one form. */
export function schemaOf([command = "", subcommand]: readonly string[]): string {
  return command === "zoo" ? `${command}-${subcommand}` : command;
}

/**
 * Fails with what is wrong with the first line that does not fit. A line that was being written when the process was killed is
 * left out.
 *
 * @param name of the schema; a line may be one of error instead
 */
export async function checkJson(name: string, printed: string): Promise<void> {
  for (const line of printed.split("\n").slice(0, -1)) {
    const value: unknown = JSON.parse(line);
    const isError = (value as { readonly event?: unknown }).event === "error";
    const validate = await validatorOf(isError ? "error" : name);
    const problem = validate(value) ? "" : ajv.errorsText(validate.errors, { dataVar: "" });
    assert.equal(problem, "", `${name} printed what its schema does not tell of: ${line}`);
  }
}

function validatorOf(name: string): Promise<ValidateFunction> {
  const known = validators.get(name) ?? compile(name);
  validators.set(name, known);
  return known;
}

async function compile(name: string): Promise<ValidateFunction> {
  const path = join(SCHEMAS, `${name}${SCHEMA_ENDING}`);
  return ajv.compile(closed(JSON.parse(await Deno.readTextFile(path))) as object);
}

/** With no other keys than those it has properties for, at every depth. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const inner = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, closed(value)]),
  );
  // A property may itself be called "properties": no schema of ours has one.
  return "properties" in inner ? { ...inner, additionalProperties: false } : inner;
}
