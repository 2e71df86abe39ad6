import assert from "node:assert/strict";
import {
  formatLoraChoice,
  parseLoraChoice,
} from "../../../../shared/checkpoint/lora/lora_choice.ts";

Deno.test("parseLoraChoice() takes the weight after the last colon, and 1 without one", () => {
  const cases = [
    ["ink.safetensors:0.8", "ink.safetensors", 0.8],
    ["ink.safetensors", "ink.safetensors", 1],
    ["/a/b:c/ink.safetensors:-1e-2", "/a/b:c/ink.safetensors", -0.01],
    ["/a:2/ink.safetensors", "/a:2/ink.safetensors", 1],
    [String.raw`C:\loras\ink.safetensors`, String.raw`C:\loras\ink.safetensors`, 1],
    [String.raw`C:\loras\ink.safetensors:0`, String.raw`C:\loras\ink.safetensors`, 0],
    ["ink:0.5:2", "ink:0.5", 2],
    ["ink: wet.safetensors", "ink: wet.safetensors", 1],
    ["ink:2.safetensors:0.5", "ink:2.safetensors", 0.5],
  ] as const;
  for (const [text, path, weight] of cases) {
    assert.deepEqual(parseLoraChoice(text), { path, weight }, text);
    assert.deepEqual(parseLoraChoice(formatLoraChoice({ path, weight })), { path, weight });
  }
});

Deno.test("parseLoraChoice() refuses weights that are no finite number, and no file", () => {
  const texts = [
    "ink:",
    "ink: ",
    "ink:0,8",
    "ink:strong",
    "ink:Infinity",
    "ink:NaN",
    ":0.8",
    "",
    " :1",
  ];
  for (const text of texts) assert.equal(parseLoraChoice(text), undefined, text);
});
