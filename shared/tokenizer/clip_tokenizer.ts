/**
 * CLIP's tokenizer: text to token ids and back. Reading and checking a folder is in
 * `tokenizer_files.ts`, byte-pair encoding in @huggingface/tokenizers; here stands what makes it CLIP's.
 * Reference: `simple_tokenizer.py` of OpenAI's CLIP, and the `CLIPTokenizer` of transformers.
 *
 * @module
 */

import { Tokenizer } from "@huggingface/tokenizers";
import { TuttiError } from "../errors.ts";
import { show } from "../show.ts";
import { clipTokenizerFiles } from "./clip_tables.ts";
import {
  END_OF_WORD,
  readTokenizerFiles,
  type TokenizerFiles,
  withPadToken,
} from "./tokenizer_files.ts";

/** Contractions, runs of letters, single digits, and runs of anything else but space. */
const WORD = String.raw`'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`;

export class ClipTokenizer {
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  readonly padTokenId: number;
  /** Tokens of one encoded prompt, BOS and EOS included. */
  readonly modelMaxLength: number;
  /** One more than the largest id: the rows that a text encoder's embedding must have at least. */
  readonly vocabSize: number;
  readonly #tokenizer: Tokenizer;

  private constructor(files: TokenizerFiles) {
    const { vocabulary, special } = files;
    const idOf = (token: string) => vocabulary.get(token)!;
    this.bosTokenId = idOf(special.bos);
    this.eosTokenId = idOf(special.eos);
    this.padTokenId = idOf(special.pad);
    this.modelMaxLength = files.modelMaxLength;
    this.vocabSize = [...vocabulary.values()].reduce((most, id) => Math.max(most, id + 1), 0);
    this.#tokenizer = new Tokenizer(tokenizerJson(files), {});
  }

  /**
   * Loads a tokenizer folder: `vocab.json` and `merges.txt`, or `tokenizer.json`; special tokens and
   * length from `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` if there.
   *
   * @param dir `undefined` for CLIP's own tables, which come with Tutti
   * @param padTokenId instead of the folder's own. SDXL's second text encoder is padded with 0, which is "!";
   * apart from that its tokenizer is the first one's
   * @throws {FormatError} naming the file that is missing or wrong
   * @throws {TuttiError} FAILED_PRECONDITION if the package with CLIP's own tables does not load
   */
  static async load(
    dir: string | undefined,
    { padTokenId }: { readonly padTokenId?: number } = {},
  ): Promise<ClipTokenizer> {
    const files = dir === undefined ? await clipTokenizerFiles() : await readTokenizerFiles(dir);
    return new ClipTokenizer(padTokenId === undefined ? files : withPadToken(files, padTokenId));
  }

  /**
   * The ids of a text, without BOS and EOS, however many there are.
   *
   * A special token spelled out in the text (`<|endoftext|>`, in any case) becomes that token, as in
   * CLIP, transformers and diffusers: the same prompt gives the same ids everywhere. It cannot lengthen
   * the prompt or reach anything but its own embedding. Where the vocabulary pads with an ordinary
   * character ("!" in SDXL's second tokenizer), that character becomes the padding token, as there.
   */
  encode(text: string): number[] {
    return this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
  }

  /**
   * The text of ids: lower case, single spaces, none in front of punctuation; special tokens are
   * spelled out. A character that the ids hold only a part of becomes U+FFFD.
   *
   * @throws {TuttiError} INVALID_ARGUMENT if an id is not in the vocabulary
   */
  decode(ids: readonly number[]): string {
    const unknown = ids.find((id) => this.#tokenizer.id_to_token(id) === undefined);
    if (unknown !== undefined) {
      throw new TuttiError(
        "INVALID_ARGUMENT",
        `Token id must be in the vocabulary of ${this.vocabSize}: current value is ${
          show(unknown)
        }`,
      );
    }
    return ids.length === 0 ? "" : this.#tokenizer.decode([...ids]).trim();
  }
}

/** The description that a `tokenizer.json` of CLIP holds, around the folder's own tables. */
function tokenizerJson({ vocabulary, merges, special, wholeTokens }: TokenizerFiles): object {
  return {
    // "normalized": searched for in the lower-case text, so "<|ENDOFTEXT|>" counts too, as in CLIP.
    added_tokens: [...wholeTokens].map((content) => ({
      content,
      id: vocabulary.get(content)!,
      normalized: true,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: String.raw`\s+` }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORD }, behavior: "Removed", invert: true },
        // Only the mapping of bytes to characters: the words are already split.
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(vocabulary),
      merges,
      unk_token: special.unk,
      end_of_word_suffix: END_OF_WORD,
      fuse_unk: false,
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
  };
}
