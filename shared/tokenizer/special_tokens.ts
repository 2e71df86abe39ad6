/**
 * Which tokens begin, end and pad a prompt, and which further tokens were added after training: read
 * from a folder's small JSON files as transformers reads them. Names come from the files, ids from the
 * vocabulary.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { parseTokenId } from "./bpe_tables.ts";
import { isObject, type JsonFile } from "./json_file.ts";

export interface SpecialTokens {
  readonly bos: string;
  readonly eos: string;
  readonly pad: string;
  /** Stands for a byte that the vocabulary lacks; CLIP's own vocabulary has all 256. */
  readonly unk: string;
}

/** What CLIP calls them where no file does. */
const CLIP_BOS = "<|startoftext|>", CLIP_EOS = "<|endoftext|>";

/**
 * The names of the special tokens.
 *
 * `special_tokens_map.json` wins over `tokenizer_config.json`, as in transformers, unless the config is
 * of the newer kind that lists `added_tokens_decoder`. (Stable Diffusion 2 is why it matters: its two
 * files disagree about the padding, and the map is right.)
 *
 * @throws {FormatError} if a name is neither text nor an object with a `content`
 */
export function specialTokenNames(config: JsonFile, map: JsonFile): SpecialTokens {
  const files = "added_tokens_decoder" in config.json ? [config] : [map, config];
  const nameOf = (key: string): string | undefined => {
    for (const { json, path } of files) {
      const value = json[key];
      const name = isObject(value) ? value.content : value;
      if (typeof name === "string" && name !== "") return name;
      if (name !== undefined && name !== null) {
        throw new FormatError(
          `"${key}" of ${show(path)} must be a token: current value is ${show(value)}`,
        );
      }
    }
    return undefined;
  };
  const eos = nameOf("eos_token") ?? CLIP_EOS;
  return {
    bos: nameOf("bos_token") ?? CLIP_BOS,
    eos,
    pad: nameOf("pad_token") ?? eos,
    unk: nameOf("unk_token") ?? eos,
  };
}

/**
 * Tokens added to a trained vocabulary (textual inversion, fine-tuning), with their ids.
 *
 * @param config `tokenizer_config.json`, whose `added_tokens_decoder` goes from id to token
 * @param added `added_tokens.json`, which goes from token to id
 * @param listed the `added_tokens` of a `tokenizer.json`
 * @throws {FormatError} if an id or a token is malformed
 */
export function addedTokens(
  config: JsonFile,
  added: JsonFile,
  listed: { readonly items: readonly unknown[]; readonly path: string },
): readonly (readonly [string, number])[] {
  const decoder = config.json.added_tokens_decoder;
  const fromConfig = isObject(decoder) ? Object.entries(decoder) : [];
  return [
    ...fromConfig.map(([id, token]) => addedToken(token, Number(id), config.path)),
    ...Object.entries(added.json).map(([token, id]) => addedToken(token, id, added.path)),
    ...listed.items.map((item) =>
      addedToken(item, isObject(item) ? item.id : undefined, listed.path)
    ),
  ];
}

function addedToken(token: unknown, id: unknown, path: string): readonly [string, number] {
  const content = isObject(token) ? token.content : token;
  if (typeof content !== "string" || content === "") {
    throw new FormatError(
      `Added token of ${show(path)} must have a text: current value is ${show(content)}`,
    );
  }
  return [content, parseTokenId(id, `Added token ${show(content)} of ${show(path)}`)];
}
