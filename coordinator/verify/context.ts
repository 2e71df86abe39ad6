/** What the checks of one family share: its folder, its manifest, and its experts, opened once when first needed. @module */

import { join } from "node:path";
import type { ModelSource } from "../../shared/checkpoint/checkpoint.ts";
import type { Expert } from "../../shared/engine/expert.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { FormatError } from "../../shared/errors.ts";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { type F32Tensor, type Tensor, toFloat32 } from "../../shared/tensor/tensor.ts";
import type { CheckSpec, FamilyManifest } from "./manifest.ts";
import { matcher } from "./name_pattern.ts";

/** Opens an expert in this process, or starts a worker for it; `verify` does not care. */
export type OpenExpert = (model: ModelSource, configFrom?: string) => Promise<Expert>;

export class FamilyContext {
  readonly folder: string;
  readonly manifest: FamilyManifest;
  readonly lane: ComputeOptions;
  readonly #open: OpenExpert;
  readonly #experts = new Map<string, Promise<Expert>>();

  constructor(folder: string, manifest: FamilyManifest, lane: ComputeOptions, open: OpenExpert) {
    this.folder = folder;
    this.manifest = manifest;
    this.lane = lane;
    this.#open = open;
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** The expert of this index in the manifest. */
  expert(index: number): Promise<Expert> {
    const name = this.manifest.experts[index];
    if (name === undefined) {
      throw new FormatError(
        `Manifest of "${this.folder}" has no expert ${index}: it lists ${this.manifest.experts.length}`,
      );
    }
    let expert = this.#experts.get(name);
    if (!expert) this.#experts.set(name, expert = this.#open(this.path(name)));
    return expert;
  }

  experts(): Promise<Expert[]> {
    return Promise.all(this.manifest.experts.map((_, index) => this.expert(index)));
  }

  /** The letter of an expert in tensor names: `ctx.a`. */
  letter(index: number): string {
    return String.fromCharCode("a".charCodeAt(0) + index);
  }

  async golden({ file }: CheckSpec): Promise<Golden> {
    return new Golden(await SafetensorsFile.open(this.path(file)));
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#experts.values());
    await Promise.all(
      opened.map((result) => result.status === "fulfilled" && result.value.close()),
    );
  }
}

/** A file of inputs and expected tensors. */
export class Golden {
  readonly #file: SafetensorsFile;

  constructor(file: SafetensorsFile) {
    this.#file = file;
  }

  /** Any float dtype is read as f32. */
  async f32(name: string): Promise<F32Tensor> {
    return toFloat32(await this.#file.read(name));
  }

  async i64(name: string): Promise<Tensor<"int64">> {
    return await this.#file.read(name) as Tensor<"int64">;
  }

  /** A tensor of numbers as an array: timesteps. */
  async numbers(name: string): Promise<number[]> {
    return Array.from(
      await this.#file.read(name).then(({ data }) => data as ArrayLike<number | bigint>),
      Number,
    );
  }

  /** Names that fit a pattern of the manifest, where `*` stands for anything. */
  matching(patterns: readonly string[]): string[] {
    const names = [...this.#file.entries.keys()].filter(matcher(patterns));
    const missing = patterns.find((pattern) => !pattern.includes("*") && !names.includes(pattern));
    if (missing !== undefined) {
      throw new FormatError(`File "${this.#file.path}" must hold the tensor "${missing}"`);
    }
    return names;
  }
}
