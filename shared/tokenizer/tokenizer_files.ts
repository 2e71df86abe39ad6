/**
 * Reads a CLIP tokenizer's folder in the forms that people have: `vocab.json` + `merges.txt`, or one
 * `tokenizer.json`; with or without the small files that name the special tokens. What comes out is
 * checked, so that the tokenizer library is never given a broken vocabulary.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import {
  mergeLines,
  type Merges,
  parseMerges,
  parseVocabulary,
  type Vocabulary,
} from "./bpe_tables.ts";
import { isObject, type JsonFile, readJsonFile, readText } from "./json_file.ts";
import { addedTokens, specialTokenNames, type SpecialTokens } from "./special_tokens.ts";

export interface TokenizerFiles {
  /** Special and added tokens included. */
  readonly vocabulary: Vocabulary;
  readonly merges: Merges;
  readonly special: SpecialTokens;
  /** Tokens that text is searched for before it is split: the special and the added ones. */
  readonly wholeTokens: ReadonlySet<string>;
  /** Tokens of one encoded prompt, BOS and EOS included. */
  readonly modelMaxLength: number;
}

/** What marks a token at the end of a word in CLIP's vocabulary. */
export const END_OF_WORD = "</w>";

/** Context length of the CLIP text encoders of OpenAI and OpenCLIP, for folders that do not say. */
export const CLIP_MAX_LENGTH = 77;

interface BpeTables {
  readonly vocabulary: Map<string, number>;
  readonly merges: Merges;
  readonly path: string;
  /** The `added_tokens` of a `tokenizer.json`. */
  readonly listed: readonly unknown[];
}

/**
 * @param dir a `tokenizer/` folder, as diffusers pipelines have it
 * @throws {FormatError} naming the file that is missing or wrong
 */
export async function readTokenizerFiles(dir: string): Promise<TokenizerFiles> {
  const config = await readJsonFile(join(dir, "tokenizer_config.json"));
  const map = await readJsonFile(join(dir, "special_tokens_map.json"));
  const added = await readJsonFile(join(dir, "added_tokens.json"));
  const { vocabulary, merges, path, listed } = await readVocabAndMerges(dir) ??
    await readTokenizerJson(dir);

  const extra = addedTokens(config, added, { items: listed, path });
  addTokens(vocabulary, extra, path);
  const wholeTokens = new Set(extra.map(([token]) => token));
  const special = specialTokenNames(config, map);
  for (const [role, token] of Object.entries(special)) {
    if (!vocabulary.has(token)) {
      throw new FormatError(
        `Vocabulary ${show(path)} must have the ${role} token ${show(token)}, named by ` +
          `tokenizer_config.json, special_tokens_map.json or, where neither does, by CLIP`,
      );
    }
    wholeTokens.add(token);
  }
  return { vocabulary, merges, special, wholeTokens, modelMaxLength: maxLength(config) };
}

/**
 * The same tokenizer with another padding, as if its files named that token.
 *
 * @throws {FormatError} if the vocabulary has no token of this id
 */
export function withPadToken(files: TokenizerFiles, id: number): TokenizerFiles {
  const token = [...files.vocabulary].find(([, other]) => other === id)?.[0];
  if (token === undefined) {
    throw new FormatError(`Vocabulary must have a token of id ${id} to pad with`);
  }
  return {
    ...files,
    special: { ...files.special, pad: token },
    wholeTokens: new Set([...files.wholeTokens, token]),
  };
}

/** `undefined` where neither file is there. */
async function readVocabAndMerges(dir: string): Promise<BpeTables | undefined> {
  const vocab = await readJsonFile(join(dir, "vocab.json"));
  const mergesPath = join(dir, "merges.txt");
  const mergesText = await readText(mergesPath);
  if (!vocab.exists && mergesText === undefined) return undefined;
  if (mergesText === undefined) {
    throw new FormatError(`Tokenizer file ${show(mergesPath)} must exist beside vocab.json`);
  }
  if (!vocab.exists) {
    throw new FormatError(`Tokenizer file ${show(vocab.path)} must exist beside merges.txt`);
  }
  const vocabulary = parseVocabulary(vocab.json, vocab.path);
  const merges = parseMerges(mergeLines(mergesText), vocabulary, mergesPath);
  return { vocabulary, merges, path: vocab.path, listed: [] };
}

/**
 * Takes the tables of a `tokenizer.json`, and not its description of normalizer and splitter: those are
 * CLIP's own, the same from every folder.
 */
async function readTokenizerJson(dir: string): Promise<BpeTables> {
  const { json, path, exists } = await readJsonFile(join(dir, "tokenizer.json"));
  if (!exists) {
    throw new FormatError(
      `Tokenizer folder ${show(dir)} must hold vocab.json and merges.txt, or tokenizer.json`,
    );
  }
  const { model, added_tokens: listed = [] } = json;
  if (!isObject(model) || !isObject(model.vocab) || !Array.isArray(model.merges)) {
    throw new FormatError(`Tokenizer file ${show(path)} must have a model with vocab and merges`);
  }
  if (model.end_of_word_suffix !== END_OF_WORD) {
    throw new FormatError(
      `Tokenizer file ${show(path)} must be CLIP's kind, with "${END_OF_WORD}" as ` +
        `end_of_word_suffix: current value is ${show(model.end_of_word_suffix)}`,
    );
  }
  if (!Array.isArray(listed)) {
    throw new FormatError(
      `"added_tokens" of ${show(path)} must be a list: current value is ${show(listed)}`,
    );
  }
  const vocabulary = parseVocabulary(model.vocab, path);
  return { vocabulary, merges: parseMerges(model.merges, vocabulary, path), path, listed };
}

/** An added token is new under a new id, or repeats what the vocabulary says already. */
function addTokens(
  vocabulary: Map<string, number>,
  added: readonly (readonly [string, number])[],
  path: string,
): void {
  const owners = new Map([...vocabulary].map(([token, id]) => [id, token]));
  for (const [token, id] of added) {
    const ownId = vocabulary.get(token), owner = owners.get(id);
    if ((ownId ?? id) !== id || (owner ?? token) !== token) {
      throw new FormatError(
        `Added token ${show(token)} with id ${id} must not contradict ${show(path)}: ` +
          `there the token has id ${show(ownId)}, and the id belongs to ${show(owner)}`,
      );
    }
    vocabulary.set(token, id);
    owners.set(id, token);
  }
}

/**
 * `model_max_length` of the config. transformers writes 1e30 where it was never set, which then counts
 * as not given.
 */
function maxLength({ json, path }: JsonFile): number {
  const length = json.model_max_length ?? CLIP_MAX_LENGTH;
  if (typeof length !== "number" || !Number.isInteger(length) || length < 2) {
    throw new FormatError(
      `"model_max_length" of ${show(path)} must be a whole number >= 2, to hold BOS and EOS: ` +
        `current value is ${show(length)}`,
    );
  }
  return Number.isSafeInteger(length) ? length : CLIP_MAX_LENGTH;
}
