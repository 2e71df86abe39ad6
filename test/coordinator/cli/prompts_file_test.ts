import assert from "node:assert/strict";
import { parsePrompts, readPromptsFile } from "../../../coordinator/cli/prompts_file.ts";
import { FormatError } from "../../../shared/errors.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("parsePrompts() takes a line for a prompt, and a JSON object with the line's own settings", () => {
  const text = [
    "\uFEFFa castle at dawn, (ink:1.2)  \r",
    "",
    "  # no prompt",
    '{"prompt": "a castle", "seed": "18446744073709551615", "steps": 30, "size": "768x512"}',
    ' {"prompt": "# a hash", "size": {"width": 64, "height": 8}, "sampler": "k_euler_a", "seed": -1}',
  ].join("\n");
  assert.deepEqual(parsePrompts(text, "a.txt"), [
    { where: 'Line 1 of "a.txt"', prompt: "a castle at dawn, (ink:1.2)", settings: {} },
    {
      where: 'Line 4 of "a.txt"',
      prompt: "a castle",
      settings: { seed: 2n ** 64n - 1n, steps: 30, size: { width: 768, height: 512 } },
    },
    {
      where: 'Line 5 of "a.txt"',
      prompt: "# a hash",
      settings: { size: { width: 64, height: 8 }, sampler: "euler_a", seed: "random" },
    },
  ]);
});

Deno.test("parsePrompts() names the line that is wrong, the field and what it should be", () => {
  const cases = [
    ['{"prompt": "a"', /begins as a JSON object and is none: /],
    ['{"seed": 1}', /"prompt" must be a string of at most \d+ .*: current value is absent/],
    ['{"prompt": ""}', /"prompt" must be .*, not empty: current value is ""/],
    ['{"prompt": 7}', /"prompt" must be .*: current value is 7/],
    ['{"prompt": "a", "stesp": 3}', /"stesp" is no setting \(did you mean "steps"\?\): settings/],
    ['{"prompt": "a", "toString": 3}', /"toString" is no setting/],
    ['{"prompt": "a", "steps": "3"}', /"steps" must be a whole number in .*: current value is "3"/],
    ['{"prompt": "a", "seed": 1.5}', /"seed" must be -1 \(random\) or a whole number/],
    ["x".repeat(20_001), /"prompt" must be a string of at most 20000 characters/],
  ] as const;
  for (const [line, message] of cases) {
    assert.throws(() => parsePrompts(`a castle\n\n${line}`, "a.txt"), (error: Error) => {
      assert.ok(error instanceof FormatError);
      assert.ok(error.message.startsWith('Line 3 of "a.txt"'), error.message);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("readPromptsFile() refuses a file that is none, no text, or has no prompt", async () => {
  await using folder = await tempFolder();
  const file = folder.join("prompts.txt");
  await assert.rejects(readPromptsFile(file), /^FormatError: Cannot read the prompts in ".*": /);
  await Deno.writeFile(file, Uint8Array.of(0x89, 0x50, 0xff));
  await assert.rejects(readPromptsFile(file), /it is not UTF-8/);
  await Deno.writeTextFile(file, "\n# nothing\n");
  await assert.rejects(readPromptsFile(file), /must have a prompt: all its lines are empty or/);
});
