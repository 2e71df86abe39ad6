import assert from "node:assert/strict";
import { dropForeignSyntax } from "../../../shared/prompt/foreign_syntax.ts";
import { assertGrowsLinearly } from "../../support/growth.ts";

Deno.test("dropForeignSyntax() takes tags out and names each", () => {
  const { text, warnings } = dropForeignSyntax(
    "Prompt",
    "a <lora:add_detail:0.8>cat <hypernet:soft:1> on <lyco:x>sand",
  );
  assert.equal(text, "a cat  on sand");
  assert.deepEqual(warnings, [
    'Prompt: ignored "<lora:add_detail:0.8>": name the file with --lora',
    'Prompt: ignored "<hypernet:soft:1>", which Tutti does not support',
    'Prompt: ignored "<lyco:x>": name the file with --lora',
  ]);
});

for (
  const plain of ["a cat", "1 < 2 > 1", "<3 you", "<b>cat</b>", "<lora>", "(a:1.2) [b] a|b", ""]
) {
  Deno.test(`dropForeignSyntax() leaves ${JSON.stringify(plain)} alone`, () => {
    assert.deepEqual(dropForeignSyntax("Prompt", plain), { text: plain, warnings: [] });
  });
}

for (const editing of ["[cat:dog:0.5]", "[dog:10]", "[dog::.3]", "[a|b|c]", "[cat:dog: 5 ]"]) {
  Deno.test(`dropForeignSyntax() warns of prompt editing as in ${editing}`, () => {
    const prompt = `a (big) ${editing} on sand`;
    assert.deepEqual(dropForeignSyntax("Negative prompt", prompt), {
      text: prompt,
      warnings: [
        `Negative prompt: Tutti does not change prompts between steps: "${editing}" is read as text`,
      ],
    });
  });
}

Deno.test("dropForeignSyntax() does not take escaped brackets for prompt editing", () => {
  for (
    const prompt of [String.raw`\[cat:dog:0.5\]`, String.raw`\[a|b\]`, "[cat:dog]", "[16:9 x]"]
  ) {
    assert.deepEqual(dropForeignSyntax("Prompt", prompt), { text: prompt, warnings: [] });
  }
});

Deno.test("dropForeignSyntax() warns of AND, not of other words", () => {
  assert.deepEqual(dropForeignSyntax("Prompt", "a cat AND a dog:0.5").warnings, [
    "Prompt: Tutti does not compose prompts with AND: it is read as a word",
  ]);
  assert.deepEqual(dropForeignSyntax("Prompt", "LAND, and, ANDES, ÄAND").warnings, []);
});

Deno.test("dropForeignSyntax() takes long hostile prompts in linear time", () => {
  for (const unit of ["<a:", "[", "[:", "[|", "[a:1", "<", "AND"]) {
    const work = (length: number) => void dropForeignSyntax("Prompt", unit.repeat(length));
    assertGrowsLinearly(work, { length: 2_000, name: unit });
  }
});
