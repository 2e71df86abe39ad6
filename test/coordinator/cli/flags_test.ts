import assert from "node:assert/strict";
import {
  blockChoice,
  finiteNumber,
  imageSize,
  listOf,
  seed,
  share,
  wholeNumber,
} from "../../../coordinator/cli/flags.ts";
import { UsageError } from "../../../shared/errors.ts";

/** Every text is refused with the flag's name and the text itself. */
function assertRefuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) {
    assert.throws(() => parse(text), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /^--flag must be /);
      assert.ok(error.message.endsWith(`: current value is "${text}"`), error.message);
      return true;
    }, text);
  }
}

Deno.test("wholeNumber() takes digits from the minimum on", () => {
  assert.equal(wholeNumber("--flag")("1"), 1);
  assert.equal(wholeNumber("--flag", 0)("0"), 0);
  assert.equal(wholeNumber("--flag")("0050"), 50);
  assertRefuses(wholeNumber("--flag"), [
    "0",
    "-1",
    "1.5",
    "1e3",
    "0x10",
    "",
    " 1",
    "9007199254740993",
  ]);
});

Deno.test("wholeNumber() takes digits up to the maximum, which it names", () => {
  const port = wholeNumber("--flag", 0, 65535);
  assert.deepEqual(["0", "65535"].map(port), [0, 65535]);
  assertRefuses(port, ["65536", "70000", "9007199254740993", "-1"]);
  assert.throws(() => port("65536"), { message: /^--flag must be a whole number in 0\.\.65535: / });
});

Deno.test("finiteNumber() takes what is a number", () => {
  for (const [text, value] of [["7.5", 7.5], ["-1", -1], ["1e-3", 1e-3], ["0", 0]] as const) {
    assert.equal(finiteNumber("--flag")(text), value);
  }
  assertRefuses(finiteNumber("--flag"), ["nan", "", " ", "Infinity", "1e999", "7,5", "seven"]);
});

Deno.test("seed() takes what torch takes, to the last bit", () => {
  assert.equal(seed("--flag")("0"), 0n);
  assert.equal(seed("--flag")("18446744073709551615"), 2n ** 64n - 1n);
  assertRefuses(seed("--flag"), ["-1", "18446744073709551616", "1.0", "", "0x1", "1".repeat(30)]);
});

Deno.test("imageSize() takes one side, or width x height", () => {
  assert.deepEqual(imageSize("--flag")("512"), { width: 512, height: 512 });
  assert.deepEqual(imageSize("--flag")("768x512"), { width: 768, height: 512 });
  assertRefuses(imageSize("--flag"), ["", "x", "64x", "x64", "64X64", "64x64x3", "-64", "1234567"]);
  const cases = [["65", "64"], ["64x4", "64x8"], ["0", "8"], ["16392", "16384"]] as const;
  for (const [text, nearest] of cases) {
    assert.throws(() => imageSize("--flag")(text), {
      name: "UsageError",
      message: "--flag must be multiples of 8 pixels in 8..16384: " +
        `current value is "${text}"; ${nearest} is the nearest`,
    });
  }
});

Deno.test("share() takes numbers from 0 to 1", () => {
  assert.deepEqual(["0", "0.25", "1"].map(share("--flag")), [0, 0.25, 1]);
  assertRefuses(share("--flag"), ["-0.1", "1.01", "x", ""]);
});

Deno.test("blockChoice() takes all, noise, or ids of blocks", () => {
  const choice = blockChoice("--flag");
  assert.deepEqual(["all", "noise", "IN04, M00"].map(choice), ["all", "noise", ["IN04", "M00"]]);
  assertRefuses(choice, ["", "ALL", "IN4", "IN04,", "down_blocks.0"]);
});

Deno.test("listOf() takes some of its words, and suggests one for another", () => {
  const parse = listOf("--flag", ["space", "text"]);
  assert.deepEqual(parse("text, space"), ["text", "space"]);
  assert.throws(() => parse("space,tex"), { name: "UsageError", message: /"tex".*"text"/ });
});
