/**
 * A suite: what is to be drawn in which ways, and who judges it.
 *
 * ```toml
 * prompts = "prompts.txt"          # one a line, as `tutti sheet --prompts` takes it
 * seeds = [1, 2, 3, 4]
 * methods = ["afa", "average", "only:photo"]
 * steps = [20, 50]                 # as flags say without it
 * reference = "photos"             # a folder of pictures, for distances of sets
 *
 * [judges]                         # networks of yours
 * clip = "models/clip-vit-large-patch14"
 * ```
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { readToml } from "../../../shared/toml/read_toml.ts";
import type { TomlFields } from "../../../shared/toml/toml_fields.ts";
import { parseMethod } from "../../sampling/methods/method_text.ts";
import { findMethod } from "../../sampling/methods/methods.ts";
import { MAX_SEED } from "../../settings/limits.ts";
import { JUDGE_KEYS, type JudgePaths } from "../judges/open_judges.ts";

export interface Suite {
  /** Path of the file of prompts. */
  readonly prompts: string;
  readonly seeds: readonly bigint[];
  readonly methods: readonly string[];
  /** Empty: as the flags say. */
  readonly steps: readonly number[];
  readonly judges: JudgePaths;
  /** Folder of real pictures. */
  readonly reference?: string;
}

const KEYS = ["prompts", "seeds", "methods", "steps", "reference", "judges"];

/** Paths in the file are relative to it. @throws {FormatError} naming file, key and value */
export async function readSuite(path: string): Promise<Suite> {
  const file = resolve(path);
  const fields = await readToml(file, "suite");
  fields.refuseUnknown(KEYS);
  const beside = (name: string) => resolve(dirname(file), name);
  const judges = fields.child("judges");
  judges?.refuseUnknown(JUDGE_KEYS);
  const paths = (judges?.keys ?? []).map((key) => [
    key,
    beside(judges!.string(key, "the path of a network")),
  ]);
  return {
    prompts: beside(fields.string("prompts", "the path of a file of prompts")),
    seeds: fields.value("seeds", "a list of seeds, each once", readSeeds),
    methods: readMethods(fields),
    steps: fields.has("steps")
      ? fields.value("steps", "a list of numbers of steps, each once", readSteps)
      : [],
    judges: Object.fromEntries(paths),
    ...(fields.has("reference") && {
      reference: beside(fields.string("reference", "a folder of pictures")),
    }),
  };
}

function readMethods(fields: TomlFields): readonly string[] {
  const expected = 'a list of methods, each once, as --method takes them: ["afa", "average"]';
  const methods = fields.strings("methods", expected);
  if (methods.length === 0 || new Set(methods).size < methods.length) {
    throw fields.error("methods", expected);
  }
  methods.forEach((method) => findMethod(parseMethod(method).name));
  return methods;
}

function readSeeds(value: unknown): bigint[] | undefined {
  const isSeed = (seed: unknown) =>
    typeof seed === "string"
      ? /^\d{1,20}$/.test(seed) && BigInt(seed) <= MAX_SEED
      : isCount(seed, 0);
  return isList(value, isSeed) ? value.map((seed) => BigInt(seed as string)) : undefined;
}

function readSteps(value: unknown): number[] | undefined {
  return isList(value, (steps) => isCount(steps, 1)) ? value as number[] : undefined;
}

function isList(value: unknown, isItem: (item: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.length > 0 && value.every(isItem) &&
    new Set(value.map(String)).size === value.length;
}

function isCount(value: unknown, least: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least;
}
