/** `tutti pull`: gets models by name. @module */

import { Command } from "commander";
import { type PulledModel, pullModel } from "../../shared/hub/pull_model.ts";
import { localPath } from "../../shared/hub/cached_model.ts";
import { isModelName, MODEL_NAME_FORM, parseModelName } from "../../shared/hub/model_name.ts";
import { UsageError } from "../../shared/errors.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { delay } from "../cluster/delay.ts";
import { ByteProgress } from "./byte_progress.ts";
import { onInterrupt } from "./interrupt.ts";

interface PullFlags {
  readonly offline: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
Repositories go into Hugging Face's cache (HF_HUB_CACHE, HF_HOME), where its tools find them too; files from other addresses
into Tutti's state folder. Every file is checked against the hash that its hub tells, or that stands behind the address as
#sha256=HEX. What breaks off goes on where it was, by the same command. HF_TOKEN (or what hf auth login has stored) goes to the hub
alone, CIVITAI_API_TOKEN to civitai.com alone. The same names stand for a model, LoRA or VAE in an ensemble file.

Examples:
  tutti pull hf:OWNER/NAME
  tutti pull hf:OWNER/NAME/photo.safetensors
  tutti pull "https://civitai.com/api/download/models/NUMBER"
  tutti pull hf:OWNER/NAME --offline     # only tells where it is`;

export function pullCommand(): Command {
  return new Command("pull")
    .summary("get a model by its name")
    .description("Downloads models, LoRAs and VAEs by their names, and tells where they are.")
    .argument("<names...>", MODEL_NAME_FORM)
    .option("--offline", "ask nobody: only tell where models are that are here", false)
    .option("--json", "print one JSON object per model", false)
    .addHelpText("after", EXAMPLES)
    .action((names: readonly string[], flags: PullFlags) => runPull(names, flags));
}

async function runPull(names: readonly string[], { offline, json }: PullFlags): Promise<void> {
  using interrupt = onInterrupt();
  const odd = names.find((name) => !isModelName(name));
  if (odd !== undefined) {
    throw new UsageError(`A model's name must be ${MODEL_NAME_FORM}: current value is "${odd}"`);
  }
  // A wrong one is told before hours are spent on the others.
  const parsed = names.map((name) => ({ name, parsed: parseModelName(name) }));
  for (const { name, parsed: wanted } of parsed) {
    if (offline) {
      const path = await localPath(name);
      if (json) printJson({ name, path });
      else printLine(path);
      continue;
    }
    using bars = new FileBars(json);
    const pulled = await pullModel(wanted, {
      env: (variable) => Deno.env.get(variable),
      signal: interrupt.signal,
      pause: delay,
      onProgress: (file, bytes, total) => bars.update(file, bytes, total),
    });
    bars[Symbol.dispose]();
    report(name, pulled, json);
  }
}

function report(name: string, { path, files }: PulledModel, json: boolean): void {
  if (json) printJson({ name, path, files });
  else printLine(path);
}

/** A bar for each file, as it comes. */
class FileBars implements Disposable {
  readonly #isSilent: boolean;
  #file = "";
  #bar: ByteProgress | undefined;

  constructor(isSilent: boolean) {
    this.#isSilent = isSilent;
  }

  update(file: string, bytes: number, total: number | undefined): void {
    if (total === undefined) return;
    if (file !== this.#file) {
      this[Symbol.dispose]();
      this.#file = file;
      this.#bar = new ByteProgress(file, total, this.#isSilent);
    }
    this.#bar?.update(bytes);
  }

  [Symbol.dispose](): void {
    this.#bar?.[Symbol.dispose]();
    this.#bar = undefined;
  }
}
