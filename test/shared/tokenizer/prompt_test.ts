import assert from "node:assert/strict";
import { join } from "node:path";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../../../shared/tokenizer/prompt.ts";
import { tokenizerFolder, VOCAB } from "./tokenizer_folder.ts";

const ZOO = join(import.meta.dirname!, "../../../shared/zoo/tokenizer");

Deno.test("encodePrompt() puts BOS, the tokens, EOS and padding into one row", async () => {
  await using folder = await tokenizerFolder({ "special_tokens_map.json": { pad_token: "!" } });
  const tokenizer = await ClipTokenizer.load(folder.path);
  const { bosTokenId: bos, eosTokenId: eos, padTokenId: pad } = tokenizer;
  assert.deepEqual(encodePrompt(tokenizer, "ab", 6), {
    inputIds: [bos, VOCAB["ab</w>"], eos, pad, pad, pad],
    cutText: "",
  });
  assert.deepEqual(encodePrompt(tokenizer, "", 3), { inputIds: [bos, eos, pad], cutText: "" });
});

Deno.test("encodePrompt() cuts a long prompt and names what was cut", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const words = Array.from({ length: 30 }, (_, i) => ["red", "green", "blue"][i % 3]!);
  const { inputIds, cutText } = encodePrompt(tokenizer, words.join(" "), tokenizer.modelMaxLength);
  assert.equal(inputIds.length, 24);
  assert.equal(inputIds.at(-1), tokenizer.eosTokenId);
  assert.equal(tokenizer.decode(inputIds.slice(1, -1)), words.slice(0, 22).join(" "));
  assert.equal(cutText, words.slice(22).join(" "));
});

Deno.test("encodePrompt() cuts nothing from a prompt that fits exactly", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const fits = "red ".repeat(22);
  assert.equal(encodePrompt(tokenizer, fits, 24).cutText, "");
  assert.equal(encodePrompt(tokenizer, fits + "star", 24).cutText, "star");
});

Deno.test("encodePrompt() cuts at the limit also where the text spells an end token", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  const { inputIds, cutText } = encodePrompt(tokenizer, "red<|endoftext|>".repeat(20), 24);
  assert.equal(inputIds.length, 24);
  assert.equal(cutText, "red <|endoftext|>".repeat(9));
});

Deno.test("encodePrompt() holds BOS and EOS alone where nothing else fits", async () => {
  const tokenizer = await ClipTokenizer.load(ZOO);
  assert.deepEqual(encodePrompt(tokenizer, "red star", 2), {
    inputIds: [tokenizer.bosTokenId, tokenizer.eosTokenId],
    cutText: "red star",
  });
});

for (const maxLength of [1, 0, -5, 2.5, NaN, Infinity]) {
  Deno.test(`encodePrompt() refuses a length of ${maxLength}`, async () => {
    const tokenizer = await ClipTokenizer.load(ZOO);
    assert.throws(() => encodePrompt(tokenizer, "red", maxLength), {
      code: "INVALID_ARGUMENT",
      message: `Prompt length must be a whole number >= 2: current value is ${maxLength}`,
    });
  });
}
