/**
 * A folder of checks on samplers, methods, merging and metrics, as its own README says how they are read: what a name in
 * `inputs` or `expect` stands for. Every size, step count and constant comes from there.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { readRegularText } from "../../../shared/regular_file.ts";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { f32, type F32Tensor, type Tensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import type { Comparison, Skipped } from "../check.ts";

export interface EvalCheck {
  readonly name: string;
  /** `samplers`, `ensembling`, and others. */
  readonly part: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** What is compared, by name. */
  readonly expect: Readonly<Record<string, string>>;
  readonly tolerance: Readonly<Record<string, number | string>>;
  /** Whether what it checks need not exist. */
  readonly optional?: boolean;
}

/** How a check is run. */
export type RunCheck = (folder: EvalFolder, check: EvalCheck) => Promise<Comparison[] | Skipped>;

export class EvalFolder {
  readonly path: string;
  readonly checks: readonly EvalCheck[];
  readonly #json = new Map<string, Promise<Record<string, unknown>>>();

  private constructor(path: string, checks: readonly EvalCheck[]) {
    this.path = path;
    this.checks = checks;
  }

  /** @throws {FormatError} if its manifest cannot be read */
  static async open(path: string): Promise<EvalFolder> {
    const { checks } = await readObject(join(path, "manifest.json"));
    if (!Array.isArray(checks)) {
      throw new FormatError(`Manifest "${join(path, "manifest.json")}" must list "checks"`);
    }
    return new EvalFolder(path, checks as EvalCheck[]);
  }

  /** A file of the folder, or one beside it. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** `file#key` of a JSON file, `run.x` of an input, or the value itself. */
  async value(check: EvalCheck, reference: unknown): Promise<unknown> {
    if (typeof reference !== "string") return reference;
    const [input = "", field] = reference.split(/\.(.*)/s, 2);
    if (!reference.includes("#") && field !== undefined && input in check.inputs) {
      const object = await this.value(check, check.inputs[input]) as Record<string, unknown>;
      return object[field];
    }
    const [file = "", key] = reference.split("#", 2);
    if (key === undefined || !file.endsWith(".json")) return reference;
    let json = this.#json.get(file);
    if (!json) this.#json.set(file, json = readObject(this.file(file)));
    return (await json)[key];
  }

  /** `file#key` of a safetensors file, or numbers. */
  async tensor(check: EvalCheck, reference: unknown): Promise<Tensor> {
    const [file = "", key] = typeof reference === "string" ? reference.split("#", 2) : [];
    if (key !== undefined && file.endsWith(".safetensors")) {
      return await (await SafetensorsFile.open(this.file(file))).read(key);
    }
    return numbersToTensor(await this.value(check, reference));
  }

  /** The same as numbers in f64, of a list of lists one after another. */
  async numbers(check: EvalCheck, reference: unknown): Promise<ArrayLike<number>> {
    if (typeof reference === "string" && /\.safetensors#/.test(reference)) {
      return (await this.f32(check, reference)).data;
    }
    return [await this.value(check, reference)].flat(2).map(Number);
  }

  async f32(check: EvalCheck, reference: unknown): Promise<F32Tensor> {
    return toFloat32(await this.tensor(check, reference));
  }
}

/** A number, a list, or a list of lists of one length. */
function numbersToTensor(value: unknown): F32Tensor {
  if (!Array.isArray(value)) return f32([1], [Number(value)]);
  if (!Array.isArray(value[0])) return f32([value.length], value.map(Number));
  return f32([value.length, value[0].length], value.flat().map(Number));
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readRegularText(path)) as Record<string, unknown>;
  } catch (cause) {
    throw new FormatError(`Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
}
