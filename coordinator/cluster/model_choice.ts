/**
 * `model_name` and `model_hash` of an expert in an ensemble file: whichever workers serve that model, wherever they run.
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import type { TomlFields } from "../../shared/toml/toml_fields.ts";

/** At least one of both. */
export interface ModelChoice {
  /** As `tutti ps` shows it. */
  readonly name?: string;
  /** Hexadecimal digits that the hash begins with. */
  readonly hash?: string;
}

const HASH = /^[0-9a-f]{4,64}$/;
const HASH_RULE = "4 to 64 hexadecimal digits in lower case: the hash of a model, or its beginning";
/** Where an expert is said to be otherwise. */
const OTHER_KEYS = ["model", "merge", "address", "lora"] as const;

export const MODEL_CHOICE_KEYS = ["model_name", "model_hash"] as const;

/**
 * `undefined` for an expert that has neither key.
 *
 * @throws {FormatError} if a value is wrong, or the expert has weights or an address as well
 */
export function readModelChoice(fields: TomlFields): ModelChoice | undefined {
  const own = MODEL_CHOICE_KEYS.find((key) => fields.has(key));
  if (own === undefined) return undefined;
  const other = OTHER_KEYS.find((key) => fields.has(key));
  if (other !== undefined) {
    throw new FormatError(
      `${fields.file}: ${fields.where} must have "${own}" (workers are found over NATS) or "${other}", not both`,
      { details: { file: fields.file, key: fields.pathOf(own) } },
    );
  }
  const name = fields.has("model_name")
    ? { name: fields.string("model_name", "the name of a model that workers serve") }
    : {};
  if (!fields.has("model_hash")) return name;
  const hash = fields.string("model_hash", HASH_RULE);
  if (!HASH.test(hash)) throw fields.error("model_hash", HASH_RULE);
  return { ...name, hash };
}
