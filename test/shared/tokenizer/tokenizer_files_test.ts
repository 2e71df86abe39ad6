import assert from "node:assert/strict";
import { join } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { readTokenizerFiles } from "../../../shared/tokenizer/tokenizer_files.ts";
import { type FolderFiles, MERGES, tokenizerFolder, VOCAB } from "./tokenizer_folder.ts";

const NO_TABLES = { "vocab.json": undefined, "merges.txt": undefined };
const JSON_MODEL = { vocab: VOCAB, merges: ["a b</w>"], end_of_word_suffix: "</w>" };

const REFUSED: readonly (readonly [string, FolderFiles, string, RegExp])[] = [
  ["a missing vocab.json", { "vocab.json": undefined }, "vocab.json", /must exist beside merges/],
  ["a missing merges.txt", { "merges.txt": undefined }, "merges.txt", /must exist beside vocab/],
  ["a vocab.json that is not JSON", { "vocab.json": '{"a":' }, "vocab.json", /must be JSON/],
  ["a vocab.json that is a list", { "vocab.json": [] }, "vocab.json", /must be a JSON object/],
  ["an empty vocab.json", { "vocab.json": "" }, "vocab.json", /must be JSON/],
  ["a vocabulary without tokens", { "vocab.json": {} }, "vocab.json", /must have tokens/],
  [
    "an id that is text",
    { "vocab.json": { ...VOCAB, x: "9" } },
    "vocab.json",
    /Token "x" .* current value is "9"/,
  ],
  ["a negative id", { "vocab.json": { ...VOCAB, x: -1 } }, "vocab.json", /current value is -1/],
  ["a fractional id", { "vocab.json": { ...VOCAB, x: 9.5 } }, "vocab.json", /value is 9.5/],
  [
    "an id of 2^40",
    { "vocab.json": { ...VOCAB, x: 2 ** 40 } },
    "vocab.json",
    /0 to 16777215 as id/,
  ],
  [
    "two tokens of one id",
    { "vocab.json": { ...VOCAB, x: 1 } },
    "vocab.json",
    /Token "x" .* value 1 is that of "a"/,
  ],
  [
    "a merge of an unknown token",
    { "merges.txt": MERGES + "a q\n" },
    "merges.txt",
    /Merge 3 .* "a q" needs "q", which has no id/,
  ],
  [
    "a merge into an unknown token",
    { "merges.txt": MERGES + "b a</w>\n" },
    "merges.txt",
    /Merge 3 .* needs "ba<\/w>"/,
  ],
  [
    "a merge of one token",
    { "merges.txt": MERGES + "ab\n" },
    "merges.txt",
    /Merge 3 .* must be two tokens: current value is "ab"/,
  ],
  ["a merge of three tokens", { "merges.txt": "a b a" }, "merges.txt", /Merge 1 .* two tokens/],
  ["a merge with two spaces", { "merges.txt": "a  b" }, "merges.txt", /Merge 1 .* two tokens/],
  [
    "a config that is not JSON",
    { "tokenizer_config.json": "nope" },
    "tokenizer_config.json",
    /must be JSON/,
  ],
  [
    "a BOS token outside the vocabulary",
    { "tokenizer_config.json": { bos_token: "<s>" } },
    "vocab.json",
    /must have the bos token "<s>"/,
  ],
  [
    "a padding token outside the vocabulary",
    { "special_tokens_map.json": { pad_token: "[PAD]" } },
    "vocab.json",
    /must have the pad token "\[PAD\]"/,
  ],
  [
    "a special token of the prototype",
    { "tokenizer_config.json": { eos_token: "constructor" } },
    "vocab.json",
    /must have the eos token "constructor"/,
  ],
  [
    "a special token that is a number",
    { "tokenizer_config.json": { eos_token: 5 } },
    "tokenizer_config.json",
    /"eos_token" .* must be a token: current value is 5/,
  ],
  ...[0, 1, -77, 7.5, "77", [77]].map((length) =>
    [
      `a length of ${JSON.stringify(length)}`,
      { "tokenizer_config.json": { model_max_length: length } },
      "tokenizer_config.json",
      /"model_max_length" .* whole number >= 2/,
    ] as const
  ),
  [
    "an added token that takes another's id",
    { "added_tokens.json": { "<cat>": 1 } },
    "vocab.json",
    /"<cat>" with id 1 must not contradict .* the id belongs to "a"/,
  ],
  [
    "an added token with another id than the vocabulary's",
    { "added_tokens.json": { a: 12 } },
    "vocab.json",
    /"a" with id 12 must not contradict .* the token has id 1/,
  ],
  [
    "an added token without a text",
    { "tokenizer_config.json": { added_tokens_decoder: { "9": {} } } },
    "tokenizer_config.json",
    /must have a text: current value is undefined/,
  ],
  [
    "an added token whose id is no number",
    { "tokenizer_config.json": { added_tokens_decoder: { nine: { content: "<cat>" } } } },
    "tokenizer_config.json",
    /"<cat>" .* current value is NaN/,
  ],
  [
    "a tokenizer.json without a model",
    { ...NO_TABLES, "tokenizer.json": {} },
    "tokenizer.json",
    /must have a model/,
  ],
  [
    "a tokenizer.json of another kind",
    { ...NO_TABLES, "tokenizer.json": { model: { ...JSON_MODEL, end_of_word_suffix: null } } },
    "tokenizer.json",
    /must be CLIP's kind, with "<\/w>" .* current value is null/,
  ],
  [
    "a tokenizer.json whose merges are numbers",
    { ...NO_TABLES, "tokenizer.json": { model: { ...JSON_MODEL, merges: [[1, 2]] } } },
    "tokenizer.json",
    /Merge 1 .* must be two tokens: current value is \[1, 2\]/,
  ],
  [
    "a tokenizer.json whose added tokens are no list",
    { ...NO_TABLES, "tokenizer.json": { model: JSON_MODEL, added_tokens: {} } },
    "tokenizer.json",
    /"added_tokens" .* must be a list/,
  ],
];

for (const [criterion, files, file, message] of REFUSED) {
  Deno.test(`readTokenizerFiles() refuses ${criterion}, naming the file`, async () => {
    await using folder = await tokenizerFolder(files);
    const error = await readTokenizerFiles(folder.path).then(
      () => assert.fail("was read"),
      (e) => e,
    );
    assert(error instanceof FormatError, `threw ${error}`);
    assert.match(error.message, message);
    assert(error.message.includes(JSON.stringify(join(folder.path, file))), error.message);
  });
}

Deno.test("readTokenizerFiles() refuses a folder without a tokenizer, and no folder at all", async () => {
  await using folder = await tokenizerFolder(NO_TABLES);
  for (const path of [folder.path, join(folder.path, "none")]) {
    await assert.rejects(readTokenizerFiles(path), {
      name: "FormatError",
      message: `Tokenizer folder ${JSON.stringify(path)} must hold vocab.json and merges.txt, ` +
        `or tokenizer.json`,
    });
  }
});

Deno.test("readTokenizerFiles() refuses a vocab.json that is a folder, or not UTF-8", async () => {
  await using folder = await tokenizerFolder({ "vocab.json": undefined });
  const path = join(folder.path, "vocab.json");
  await Deno.mkdir(path);
  const refused = (message: RegExp) =>
    assert.rejects(readTokenizerFiles(folder.path), { name: "FormatError", message });
  await refused(/vocab\.json" must be a file: it is a folder/);
  await Deno.remove(path);
  await Deno.writeFile(path, Uint8Array.of(0x7b, 0xff, 0x7d));
  await refused(/vocab\.json" must be readable UTF-8/);
});

Deno.test("readTokenizerFiles() refuses a file larger than any tokenizer's before reading it", async () => {
  await using folder = await tokenizerFolder();
  // Sparse: it takes no space, and reading it would take a terabyte of memory.
  await Deno.truncate(join(folder.path, "vocab.json"), 2 ** 40);
  await assert.rejects(readTokenizerFiles(folder.path), {
    name: "FormatError",
    message: /vocab\.json" must have at most 16777216 bytes: current size is 1099511627776/,
  });
});

Deno.test("readTokenizerFiles() takes tokens of the prototype as ordinary tokens", async () => {
  const vocab = JSON.stringify(VOCAB).replace("}", ',"__proto__":9,"constructor":10}');
  await using folder = await tokenizerFolder({ "vocab.json": vocab });
  const { vocabulary } = await readTokenizerFiles(folder.path);
  assert.equal(vocabulary.get("__proto__"), 9);
  assert.equal(vocabulary.get("constructor"), 10);
  assert.equal(vocabulary.get("toString"), undefined);
});
