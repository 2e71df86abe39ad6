import assert from "node:assert/strict";
import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { BOS_ID, EOS_ID, MERGES, tokenizerFolder, VOCAB } from "./tokenizer_folder.ts";

const ZOO = join(import.meta.dirname!, "../../../shared/zoo/tokenizer");

const CAPTION = "a green heart above a yellow square on a plain black background";

Deno.test("ClipTokenizer.load() takes ids and length from the folder's files", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const vocab = JSON.parse(await Deno.readTextFile(join(ZOO, "vocab.json")));
  assert.equal(tokenizer.bosTokenId, vocab["<|startoftext|>"]);
  assert.equal(tokenizer.eosTokenId, vocab["<|endoftext|>"]);
  assert.equal(tokenizer.padTokenId, vocab["<|endoftext|>"]);
  assert.equal(tokenizer.modelMaxLength, 24);
  assert.equal(tokenizer.vocabSize, Object.keys(vocab).length);
});

Deno.test("ClipTokenizer.encode() gives one whole-word token per word of a known caption", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const vocab = JSON.parse(await Deno.readTextFile(join(ZOO, "vocab.json")));
  assert.deepEqual(
    tokenizer.encode(CAPTION),
    CAPTION.split(" ").map((word) => vocab[`${word}</w>`]),
  );
  assert.equal(tokenizer.decode(tokenizer.encode(CAPTION)), CAPTION);
});

Deno.test("ClipTokenizer.encode() folds case and collapses space of any kind", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const messy = ` \t${CAPTION.toUpperCase().replaceAll(" ", " \u00a0\n\u3000")}\r\n`;
  assert.deepEqual(tokenizer.encode(messy), tokenizer.encode(CAPTION));
});

Deno.test("ClipTokenizer.encode() composes letters and their accents", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  assert.deepEqual(tokenizer.encode("cafe\u0301"), tokenizer.encode("caf\u00e9"));
});

Deno.test("ClipTokenizer.encode() splits words, digits, contractions and marks as CLIP does", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const words = (text: string) => tokenizer.decode(tokenizer.encode(text)).split(" ");
  assert.deepEqual(words("star23"), ["star", "2", "3"]);
  assert.deepEqual(words("red-blue"), ["red", "-", "blue"]);
  assert.deepEqual(words("(red:2)"), ["(", "red", ":", "2", ")"]);
  // 's is a word of its own, so "star" keeps its end; this vocabulary has no token for 's as a whole.
  const [star] = tokenizer.encode("star"), [s] = tokenizer.encode("s");
  const ids = tokenizer.encode("star's");
  assert.deepEqual([ids.length, ids[0], ids[2]], [3, star, s]);
});

Deno.test("ClipTokenizer.encode() gives ids of the vocabulary for any text", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const texts = [
    "",
    " \n",
    "naïve café 東京の夜景",
    "emoji 😀🚀",
    "lone \ud800 surrogate \udc00",
    "\u0000\u001b[31m\u202e",
    "__proto__ constructor toString hasOwnProperty",
    "</w> </w>a a</w>b",
    "x".repeat(5000),
    "'s't're've",
    "\u{10ffff}\u0301\u0301",
    "İI ß ſ",
  ];
  for (const text of texts) {
    const ids = tokenizer.encode(text);
    assert(
      ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize),
      JSON.stringify(text),
    );
    assert.equal(typeof tokenizer.decode(ids), "string");
  }
  assert.deepEqual(tokenizer.encode(""), []);
  assert.deepEqual(tokenizer.encode(" \n"), []);
});

Deno.test("ClipTokenizer.encode() takes special tokens in the text as themselves, in any case", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const { bosTokenId: bos, eosTokenId: eos } = tokenizer;
  const [red] = tokenizer.encode("red");
  assert.deepEqual(tokenizer.encode("<|startoftext|>red<|ENDOFTEXT|> red"), [bos, red, eos, red]);
  assert.equal(tokenizer.decode([eos]), "<|endoftext|>");
  assert(!tokenizer.encode("<|endoftext").includes(eos));
});

Deno.test("ClipTokenizer.decode() refuses ids outside the vocabulary", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  for (const id of [-1, tokenizer.vocabSize, 1.5, NaN]) {
    assert.throws(() => tokenizer.decode([0, id]), {
      code: "INVALID_ARGUMENT",
      message: `Token id must be in the vocabulary of 305: current value is ${id}`,
    });
  }
  assert.equal(tokenizer.decode([]), "");
});

Deno.test("ClipTokenizer.load() works from vocab.json and merges.txt alone, with CLIP's defaults", async () => {
  await using folder = await tokenizerFolder();
  const tokenizer = await ClipTokenizer.load(folder.path);
  assert.equal(tokenizer.bosTokenId, BOS_ID);
  assert.equal(tokenizer.eosTokenId, EOS_ID);
  assert.equal(tokenizer.padTokenId, EOS_ID);
  assert.equal(tokenizer.modelMaxLength, 77);
  assert.deepEqual(tokenizer.encode("ab a!"), [VOCAB["ab</w>"], VOCAB["a</w>"], VOCAB["!</w>"]]);
});

Deno.test("ClipTokenizer.load() gives the same from a tokenizer.json alone", async () => {
  const model = { type: "BPE", vocab: VOCAB, end_of_word_suffix: "</w>" };
  for (const merges of [["a b</w>"], [["a", "b</w>"]]]) {
    await using folder = await tokenizerFolder({
      "vocab.json": undefined,
      "merges.txt": undefined,
      "tokenizer.json": {
        model: { ...model, merges },
        added_tokens: [{ id: 9, content: "<cat>", special: false }],
      },
    });
    const tokenizer = await ClipTokenizer.load(folder.path);
    assert.deepEqual(tokenizer.encode("ab <Cat>b"), [VOCAB["ab</w>"], 9, VOCAB["b</w>"]]);
    assert.equal(tokenizer.vocabSize, 10);
  }
});

Deno.test("ClipTokenizer.load() takes tokens that were added after training", async () => {
  await using one = await tokenizerFolder({ "added_tokens.json": { "<cat>": 9 } });
  await using other = await tokenizerFolder({
    "tokenizer_config.json": {
      added_tokens_decoder: { "8": { content: "<|endoftext|>" }, "9": { content: "<cat>" } },
    },
  });
  for (const { path } of [one, other]) {
    const tokenizer = await ClipTokenizer.load(path);
    assert.deepEqual(tokenizer.encode("a<cat>"), [VOCAB["a</w>"], 9]);
    assert.equal(tokenizer.vocabSize, 10);
  }
});

Deno.test("ClipTokenizer.load() pads with the token of special_tokens_map.json", async () => {
  await using folder = await tokenizerFolder({
    "tokenizer_config.json": { pad_token: "<|endoftext|>", model_max_length: 8 },
    "special_tokens_map.json": { pad_token: "!", eos_token: { content: "<|endoftext|>" } },
  });
  const tokenizer = await ClipTokenizer.load(folder.path);
  assert.equal(tokenizer.padTokenId, VOCAB["!"]);
  assert.equal(tokenizer.eosTokenId, EOS_ID);
  assert.equal(tokenizer.modelMaxLength, 8);
  // As in transformers: a padding token that is an ordinary character is that token in text as well.
  assert.deepEqual(tokenizer.encode("a!"), [VOCAB["a</w>"], VOCAB["!"]]);
});

Deno.test("ClipTokenizer.load() believes the config alone where it lists added_tokens_decoder", async () => {
  await using folder = await tokenizerFolder({
    "tokenizer_config.json": { pad_token: "<|endoftext|>", added_tokens_decoder: {} },
    "special_tokens_map.json": { pad_token: "!" },
  });
  assert.equal((await ClipTokenizer.load(folder.path)).padTokenId, EOS_ID);
});

Deno.test("ClipTokenizer.load() takes transformers' 1e30 as a length that was not given", async () => {
  await using folder = await tokenizerFolder({
    "tokenizer_config.json": '{"model_max_length": 1000000000000000019884624838656}',
  });
  assert.equal((await ClipTokenizer.load(folder.path)).modelMaxLength, 77);
});

Deno.test("ClipTokenizer.load() takes merges with Windows line ends and without a version", async () => {
  await using folder = await tokenizerFolder({ "merges.txt": MERGES.replace(/.*\n/, "") + "\r\n" });
  const tokenizer = await ClipTokenizer.load(folder.path);
  assert.deepEqual(tokenizer.encode("ab"), [VOCAB["ab</w>"]]);
});
