/** BERT's tokenizer (uncased), in which ImageReward reads prompts. @module */

import { Tokenizer } from "@huggingface/tokenizers";
import { FormatError } from "../../../shared/errors.ts";

/** One prompt, of the same length as all. */
export interface WordPieces {
  readonly inputIds: readonly number[];
  /** 1 where there is a token, 0 behind the last. */
  readonly attentionMask: readonly number[];
}

/** A word of more characters is unknown as a whole. */
const MAX_WORD_CHARS = 100;

export class WordPieceTokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #maxLength: number;
  readonly #ids: { readonly begin: number; readonly end: number; readonly pad: number };

  /**
   * @param vocabulary pieces in the order of their ids: the lines of `vocab.txt`
   * @param maxLength tokens of a prompt, begin and end included; longer ones are cut
   * @throws {FormatError} if it lacks one of BERT's own tokens
   */
  constructor(vocabulary: readonly string[], maxLength: number) {
    const ids = new Map(vocabulary.map((piece, id) => [piece, id]));
    const own = (piece: string) => {
      const id = ids.get(piece);
      if (id !== undefined) return id;
      throw new FormatError(`BERT's vocabulary must hold "${piece}": it has ${ids.size} pieces`);
    };
    this.#ids = { begin: own("[CLS]"), end: own("[SEP]"), pad: own("[PAD]") };
    own("[UNK]");
    this.#maxLength = maxLength;
    this.#tokenizer = new Tokenizer({
      version: "1.0",
      added_tokens: [],
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: true,
        lowercase: true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: null,
      decoder: null,
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: MAX_WORD_CHARS,
        vocab: Object.fromEntries(ids),
      },
    }, {});
  }

  encode(text: string): WordPieces {
    const { begin, end, pad } = this.#ids;
    const words = this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const ids = [begin, ...words.slice(0, this.#maxLength - 2), end];
    const padding = this.#maxLength - ids.length;
    return {
      inputIds: [...ids, ...new Array<number>(padding).fill(pad)],
      attentionMask: [...ids.map(() => 1), ...new Array<number>(padding).fill(0)],
    };
  }
}
