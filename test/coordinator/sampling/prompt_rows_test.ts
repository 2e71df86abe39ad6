import assert from "node:assert/strict";
import { type PromptFlags, promptRows } from "../../../coordinator/sampling/prompt_rows.ts";
import { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { zooPath } from "../../support/zoo.ts";

const ensemble = {
  tokenizers: [await ClipTokenizer.load(zooPath("tokenizer"))],
  experts: [
    new AffineExpert({
      description: { texts: [{ ...new AffineExpert().description.texts[0]!, maxLength: 12 }] },
    }),
  ],
} as const;
const FLAGS: PromptFlags = { negative: "", guidance: 5, promptSyntax: "a1111" };

function rowsOf(prompt: string, flags: Partial<PromptFlags>) {
  const warnings: string[] = [];
  const rows = promptRows(ensemble, prompt, { ...FLAGS, ...flags }, (text) => warnings.push(text));
  return { counts: [rows.prompt.length, rows.negative.length], warnings };
}

Deno.test("promptRows() gives the shorter prompt as many chunks as the longer one", () => {
  const long = "red ".repeat(25);
  assert.deepEqual(rowsOf(long, { negative: "blue" }), { counts: [3, 3], warnings: [] });
  assert.deepEqual(rowsOf("blue", { negative: long }), { counts: [3, 3], warnings: [] });
  assert.deepEqual(rowsOf("blue", {}), { counts: [1, 1], warnings: [] });
});

Deno.test("promptRows() lets a negative prompt that is not used lengthen nothing", () => {
  const long = "red ".repeat(25);
  assert.deepEqual(rowsOf("blue", { negative: long, guidance: 1 }).counts, [1, 3]);
});

Deno.test("promptRows() refuses more chunks than a worker takes, by the prompt's name", () => {
  const chunks = (count: number) => new Array(count).fill("red").join(" BREAK ");
  assert.deepEqual(rowsOf(chunks(102), {}).counts, [102, 102]);
  assert.deepEqual(rowsOf("red", { negative: chunks(103), guidance: 1 }).counts, [1, 103]);
  for (const [name, counts] of Object.entries({ Prompt: [103, 1], "Negative prompt": [1, 103] })) {
    const [prompt, negative] = counts.map(chunks);
    assert.throws(() => rowsOf(prompt!, { negative: negative! }), {
      name: "UsageError",
      message: `${name} must have at most 102 chunks of 10 tokens: current length is 103 chunks`,
    });
  }
});

Deno.test("promptRows() says which of the two prompts a warning is about", () => {
  const { warnings } = rowsOf("<lora:a:1> red", { negative: "<lora:b:1> blue" });
  assert.deepEqual(warnings, [
    'Prompt: ignored "<lora:a:1>": name the file with --lora',
    'Negative prompt: ignored "<lora:b:1>": name the file with --lora',
  ]);
  const cut = rowsOf("red ".repeat(11), { negative: "blue ".repeat(12), promptSyntax: "plain" });
  assert.deepEqual(cut, {
    counts: [1, 1],
    warnings: [
      'Prompt is longer than the 10 tokens that the text encoder takes: cut was "red"',
      'Negative prompt is longer than the 10 tokens that the text encoder takes: cut was "blue blue"',
    ],
  });
});
