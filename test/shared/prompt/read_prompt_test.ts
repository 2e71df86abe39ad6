import assert from "node:assert/strict";
import { PROMPT_SYNTAXES, readPrompt } from "../../../shared/prompt/read_prompt.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { PROMPT, zooPath } from "../../support/zoo.ts";

const tokenizer = await ClipTokenizer.load(zooPath("tokenizer"));
const name = "Prompt", maxLength = 24;

for (
  const text of [PROMPT, "", "red, 'a': 3 < 4 | {x}", "red ".repeat(22)]
) {
  Deno.test(`readPrompt() reads ${JSON.stringify(text.slice(0, 40))} alike in both syntaxes`, () => {
    const [a1111, plain] = PROMPT_SYNTAXES.map((syntax) =>
      readPrompt(tokenizer, { name, text, syntax, maxLength })
    );
    assert.deepEqual(a1111, plain);
    assert.equal(plain!.chunks.length, 1);
    assert.deepEqual(plain!.warnings, []);
  });
}

Deno.test("readPrompt() goes on where plain prompts are cut", () => {
  const text = `${"red ".repeat(22)}blue star`;
  const plain = readPrompt(tokenizer, { name, text, syntax: "plain", maxLength });
  assert.equal(plain.chunks.length, 1);
  assert.deepEqual(plain.warnings, [
    'Prompt is longer than the 22 tokens that the text encoder takes: cut was "blue star"',
  ]);
  const a1111 = readPrompt(tokenizer, { name, text, syntax: "a1111", maxLength });
  assert.deepEqual(a1111.warnings, []);
  assert.equal(a1111.chunks.length, 2);
  assert.deepEqual(a1111.chunks[0], plain.chunks[0]);
  assert.equal(tokenizer.decode(a1111.chunks[1]!.inputIds.slice(1, 3)), "blue star");
});

Deno.test("readPrompt() weighs in a1111, and takes every character for text in plain", () => {
  const text = "a (red:1.5) star <lora:x:1>";
  const a1111 = readPrompt(tokenizer, { name, text, syntax: "a1111", maxLength });
  assert.deepEqual(a1111.chunks[0]!.weights.slice(0, 5), [1, 1, 1.5, 1, 1]);
  assert.equal(a1111.warnings.length, 1);
  const plain = readPrompt(tokenizer, { name, text, syntax: "plain", maxLength });
  assert.ok(plain.chunks[0]!.weights.every((weight) => weight === 1));
  const ids = tokenizer.encode(text);
  assert.ok(ids.length <= 22);
  assert.deepEqual(plain.chunks[0]!.inputIds.slice(1, ids.length + 1), ids);
});

Deno.test("readPrompt() passes on that a weight is beyond all bounds", () => {
  const request = { name, text: "(red:5000)", maxLength };
  assert.throws(() => readPrompt(tokenizer, { ...request, syntax: "a1111" }), {
    code: "INVALID_ARGUMENT",
  });
  assert.equal(readPrompt(tokenizer, { ...request, syntax: "plain" }).chunks.length, 1);
});
