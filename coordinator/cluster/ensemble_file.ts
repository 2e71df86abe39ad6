/**
 * The ensemble file: which experts play together, and what they share. TOML; paths are relative to
 * the file. The experts' order in the file is their order everywhere, SABW's input channels included.
 *
 * @example
 * ```toml
 * name = "shapes"
 * sabw = "uniform"        # plain averaging, or a folder with aggregator_0, aggregator_1, ...
 * vae = "vae"             # folder or single file
 * vae_config = "vae.json" # optional: the config.json of a single file with a VAE of unusual sizes, or its folder
 * tokenizer = "tokenizer" # optional: folder with vocab.json and merges.txt
 * scheduler = "scheduler/scheduler_config.json" # optional
 *
 * [[experts]]
 * name = "round"
 * model = "round"         # weights, for workers started on this machine, and/or
 * lora = ["ink.safetensors:0.8"] # optional: merged into those weights; model, lora and vae may be names for `tutti pull`
 * config = "wide.config"  # optional: a folder with the config.json's of a single file of unusual sizes, or its U-Net's config.json
 * device = "cuda:1"       # optional: what its worker computes on, in place of --device
 *
 * [[experts]]
 * name = "mix"
 * merge = "mix.toml"      # in place of a model: a recipe, or { models = ["a.safetensors", "b.safetensors"], alpha = 0.3 }
 *
 * [[experts]]
 * name = "square"
 * address = ["gpu-2:7070", "gpu-3:7070"] # workers that run already; one is enough, more are replicas
 *
 * [[experts]]
 * name = "pointed"
 * model_name = "pointed"  # whichever workers serve it, found over NATS; or model_hash = "ab12"
 *
 * [defaults]              # optional: settings of pictures, see `ensemble_defaults.ts`
 * steps = 30
 * clip_skip = 2
 *
 * [security]              # optional: see `ensemble_security.ts`
 * tls_ca = "ca.pem"
 * ```
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type LoraChoice, parseLoraChoice } from "../../shared/checkpoint/lora/lora_choice.ts";
import type { ModelSource } from "../../shared/checkpoint/checkpoint.ts";
import { FormatError, TuttiError } from "../../shared/errors.ts";
import { readDevice } from "../../shared/device/device_name.ts";
import { localPath } from "../../shared/hub/cached_model.ts";
import { isModelName } from "../../shared/hub/model_name.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { inputPaths } from "../../shared/merging/input_paths.ts";
import type { Recipe } from "../../shared/merging/recipe_file.ts";
import { readToml } from "../../shared/toml/read_toml.ts";
import type { TomlFields } from "../../shared/toml/toml_fields.ts";
import { type Address, formatAddress, parseAddress } from "../../shared/wire/address.ts";
import { modelForFile } from "./model_for_file.ts";
import { type EnsembleDefaults, readDefaults } from "./ensemble_defaults.ts";
import { type EnsembleSecurity, readSecurity } from "./ensemble_security.ts";
import { MODEL_CHOICE_KEYS, type ModelChoice, readModelChoice } from "./model_choice.ts";

/** One expert. At least one of `model` and `addresses` is there, or `choice` alone. */
export interface EnsembleExpert {
  readonly name: string;
  /** Its weights: the absolute path of a diffusers folder or a single file, or a merge. */
  readonly model?: ModelSource;
  /** Of a single file of unusual sizes: the absolute path of a folder with configs, or of its U-Net's. */
  readonly configFrom?: string;
  /** LoRAs to merge into those weights; absolute paths. */
  readonly loras?: readonly LoraChoice[];
  /** What the worker that is started for it computes on; else what `--device` says. */
  readonly device?: Device;
  /** Where workers serve it, each a replica of the others; at least one. */
  readonly addresses?: readonly Address[];
  /** Workers that serve this model are found over NATS. */
  readonly choice?: ModelChoice;
}

export type SabwChoice =
  | { readonly kind: "uniform" }
  /** Absolute path of the folder that holds `aggregator_0` and so on. */
  | { readonly kind: "trained"; readonly path: string };

/** An ensemble file, checked; every path is absolute and exists. */
export interface EnsembleFile {
  readonly path: string;
  readonly name: string;
  readonly sabw: SabwChoice;
  readonly vae: string;
  /** Of a single file with a VAE of unusual sizes: its config, or the folder of that. */
  readonly vaeConfig?: string;
  /** Without it one is looked for (`shared/tokenizer/find_tokenizer.ts`). */
  readonly tokenizer?: string;
  readonly scheduler?: string;
  readonly experts: readonly EnsembleExpert[];
  readonly defaults?: EnsembleDefaults;
  readonly security?: EnsembleSecurity;
}

const FILE_KEYS = [
  "name",
  "sabw",
  "vae",
  "vae_config",
  "tokenizer",
  "scheduler",
  "experts",
  "defaults",
  "security",
];
const EXPERT_KEYS = [
  "name",
  "model",
  "merge",
  "config",
  "lora",
  "device",
  "address",
  ...MODEL_CHOICE_KEYS,
] as const;
/** Names appear in metrics, file names and comma-separated lists. */
export const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
export const NAME_RULE = 'a name of up to 64 letters, digits, ".", "_" and "-"';

/**
 * Reads and checks an ensemble file. Whether the paths hold the right weights is for their loaders.
 *
 * @throws {FormatError} naming file, key, value and what was expected
 */
export async function loadEnsembleFile(path: string): Promise<EnsembleFile> {
  const file = resolve(path);
  const cure = await modelForFile(path);
  if (cure !== undefined) throw new FormatError(cure, { details: { file } });
  const fields = await readToml(file, "ensemble file");
  fields.refuseUnknown(FILE_KEYS);
  const optional = async (key: "tokenizer" | "scheduler", kind: "a file" | "a folder") =>
    fields.has(key) ? { [key]: await existing(fields, key, kind) } : {};
  const scheduler = await optional("scheduler", "a file");
  return {
    path: file,
    name: readName(fields),
    sabw: await readSabw(fields),
    vae: await existing(fields, "vae", "a folder or a file"),
    ...(fields.has("vae_config")
      ? { vaeConfig: await existing(fields, "vae_config", "a folder or a file") }
      : {}),
    ...await optional("tokenizer", "a folder"),
    ...scheduler,
    experts: await readExperts(fields),
    ...readDefaults(fields),
    ...readSecurity(fields),
  };
}

function readName(fields: TomlFields): string {
  const name = fields.string("name", NAME_RULE);
  if (!NAME.test(name)) throw fields.error("name", NAME_RULE);
  return name;
}

async function readSabw(fields: TomlFields): Promise<SabwChoice> {
  if (!fields.has("sabw")) return { kind: "uniform" };
  const expected = '"uniform" or a folder with trained aggregators';
  if (fields.string("sabw", expected) === "uniform") return { kind: "uniform" };
  return { kind: "trained", path: await existing(fields, "sabw", "a folder", expected) };
}

async function readExperts(fields: TomlFields): Promise<EnsembleExpert[]> {
  const tables = fields.tables("experts");
  if (tables.length === 0) {
    throw new FormatError(
      `${fields.file}: "experts" is missing: expected one [[experts]] or more`,
      {
        details: { file: fields.file, key: "experts" },
      },
    );
  }
  const experts: EnsembleExpert[] = [];
  for (const table of tables) {
    const expert = await readExpert(table);
    const twin = experts.findIndex(({ name }) => name === expert.name);
    if (twin >= 0) throw table.error("name", `another one than that of experts[${twin}]`);
    experts.push(expert);
  }
  return experts;
}

async function readExpert(fields: TomlFields): Promise<EnsembleExpert> {
  fields.refuseUnknown(EXPERT_KEYS);
  const name = readName(fields);
  const choice = readModelChoice(fields);
  if (choice) return { name, choice };
  const hasWeights = fields.has("model") || fields.has("merge");
  if (fields.has("model") && fields.has("merge")) {
    throw new FormatError(
      `${fields.file}: ${fields.where} ("${name}") must have "model" or "merge", not both`,
      { details: { file: fields.file, key: fields.pathOf("merge") } },
    );
  }
  if (!hasWeights && !fields.has("address")) {
    throw new FormatError(
      `${fields.file}: ${fields.where} ("${name}") must have "model" or "merge" (weights on this machine), ` +
        `"address" (a running worker) or both, or "model_name" (workers are found over NATS)`,
      { details: { file: fields.file, key: fields.where } },
    );
  }
  const forOurs = {
    config: 'its config there, with "tutti worker --config"',
    lora: 'its LoRAs there, with "tutti worker --lora"',
    device: 'its device there, with "tutti worker --device"',
  };
  for (const [key, how] of Object.entries(forOurs)) {
    if (!fields.has(key) || hasWeights) continue;
    throw new FormatError(
      `${fields.file}: ${fields.where} ("${name}") must have "model" or "merge" where it has "${key}": a worker ` +
        `that runs elsewhere gets ${how}`,
      { details: { file: fields.file, key: fields.pathOf(key) } },
    );
  }
  return {
    name,
    ...(fields.has("config")
      ? { configFrom: await existing(fields, "config", "a folder or a file") }
      : {}),
    ...(fields.has("lora") ? { loras: await readLoras(fields) } : {}),
    ...(fields.has("model")
      ? { model: await existing(fields, "model", "a folder or a file") }
      : {}),
    ...(fields.has("merge") ? { model: await readMerge(fields) } : {}),
    ...(fields.has("device") ? { device: readDeviceKey(fields) } : {}),
    ...(fields.has("address") ? { addresses: readAddresses(fields) } : {}),
  };
}

function readDeviceKey(fields: TomlFields): Device {
  const expected = "cpu, webgpu, cuda or cuda:N";
  const read = readDevice(fields.string("device", expected));
  if ("problem" in read) throw fields.error("device", `${expected} (${read.problem})`);
  if (read.device === "auto") throw fields.error("device", expected);
  return read.device;
}

async function readMerge(fields: TomlFields): Promise<Recipe> {
  const expected = `the path of a recipe, or { models = [...] } with the keys of a recipe's merge`;
  // Few files have merges.
  const { readInlineRecipe, readRecipe } = await import("../../shared/merging/recipe_file.ts");
  const recipe = typeof fields.raw("merge") === "string"
    ? await readRecipe(await existing(fields, "merge", "a file", expected))
    : await readInlineRecipe(fields.child("merge", expected)!);
  for (const path of inputPaths(recipe.merge)) {
    await stat(path).catch((cause) => {
      throw new FormatError(
        `${fields.file}: "${
          fields.pathOf("merge")
        }" must be of models that exist ("${path}" does not)`,
        { cause, details: { file: fields.file, key: fields.pathOf("merge") } },
      );
    });
  }
  return recipe;
}

async function readLoras(fields: TomlFields): Promise<LoraChoice[]> {
  const expected = `a list of "FILE:WEIGHT", each a file that exists and a finite number`;
  const choices = fields.strings("lora", expected).map((text) => {
    const choice = parseLoraChoice(text);
    if (choice === undefined) throw fields.error("lora", expected);
    return choice;
  });
  const paths = choices.map(({ path }) => pathOf(fields, "lora", path));
  const located = await Promise.all(paths);
  for (const path of located) {
    const found = await stat(path).catch((cause) => {
      throw fields.error("lora", `${expected} ("${path}" does not exist)`, cause);
    });
    if (!found.isFile()) throw fields.error("lora", `${expected} ("${path}" is no file)`);
  }
  return choices.map((choice, i) => ({ ...choice, path: located[i]! }));
}

/** Of a path from the file's folder, or of a model's name: then it must be on this machine. */
async function pathOf(fields: TomlFields, key: string, text: string): Promise<string> {
  if (!isModelName(text)) return resolve(dirname(fields.file), text);
  try {
    return await localPath(text);
  } catch (cause) {
    const { message } = TuttiError.from(cause);
    throw new FormatError(`${fields.file}: "${fields.pathOf(key)}": ${message}`, {
      cause,
      details: { file: fields.file, key: fields.pathOf(key) },
    });
  }
}

function readAddresses(fields: TomlFields): Address[] {
  const expected = "HOST:PORT of a worker, or a list of several workers with the same model";
  const texts = fields.isList("address")
    ? fields.strings("address", expected)
    : [fields.string("address", expected)];
  let addresses: Address[];
  try {
    addresses = texts.map((text) => parseAddress(text));
  } catch (cause) {
    throw fields.error("address", expected, cause);
  }
  if (addresses.length === 0) throw fields.error("address", expected);
  const names = addresses.map(formatAddress);
  const twin = names.find((name, i) => names.indexOf(name) < i);
  if (twin !== undefined) throw fields.error("address", `${expected} (${twin} comes twice)`);
  return addresses;
}

/** The absolute path that a key names; it must be there, and of the kind asked for. */
async function existing(
  fields: TomlFields,
  key: string,
  kind: "a file" | "a folder" | "a folder or a file",
  expected = `the path of ${kind}`,
): Promise<string> {
  const path = await pathOf(fields, key, fields.string(key, expected));
  const found = await stat(path).catch((cause) => {
    throw fields.error(key, `${expected} that exists ("${path}" does not)`, cause);
  });
  const isRight = kind === "a folder or a file" ||
    (kind === "a folder" ? found.isDirectory() : found.isFile());
  if (!isRight) throw fields.error(key, `${expected} ("${path}" is not ${kind})`);
  return path;
}
