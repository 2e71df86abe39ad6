/**
 * Parts of stable-diffusion-webui's prompt language that mean something there and nothing here. A prompt from
 * elsewhere may hold them; whoever wrote it should hear what became of them.
 *
 * @module
 */

import { show } from "../show.ts";

export interface KnownPrompt {
  /** Without the tags. */
  readonly text: string;
  /** Whole sentences. */
  readonly warnings: readonly string[];
}

/** `<lora:name:0.8>`, `<hypernet:name:1>`: not text for the encoder, but files to load. */
const TAG = /<(\w+):[^<>]+>/g;

/** Kinds of tags whose files `--lora` takes. */
const LORA_KINDS: readonly string[] = ["lora", "lyco"];

/** `[from:to:when]`, `[to:when]`: another text after some steps. `[a|b]`: another one every step. */
const EDITING =
  /(?<!\\)\[(?:[^[\]]*:\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*|[^[\]|]*\|[^[\]]*)(?<!\\)\]/;

const AND = /(?<![\p{L}\p{N}_])AND(?![\p{L}\p{N}_])/u;

/**
 * Takes tags out of a prompt, and says so.
 *
 * @param name what messages call the prompt: `Negative prompt`
 */
export function dropForeignSyntax(name: string, prompt: string): KnownPrompt {
  const warnings = [...prompt.matchAll(TAG)].map(([tag, kind]) =>
    `${name}: ignored ${show(tag)}` +
    (LORA_KINDS.includes(kind!) ? ": name the file with --lora" : ", which Tutti does not support")
  );
  const text = prompt.replace(TAG, "");
  const editing = EDITING.exec(text);
  if (editing !== null) {
    warnings.push(
      `${name}: Tutti does not change prompts between steps: ${show(editing[0])} is read as text`,
    );
  }
  if (AND.test(text)) {
    warnings.push(`${name}: Tutti does not compose prompts with AND: it is read as a word`);
  }
  return { text, warnings };
}
