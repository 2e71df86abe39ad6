import assert from "node:assert/strict";
import { displayWidth, oneLine, pad, truncate } from "../../../shared/terminal/display_width.ts";

Deno.test("displayWidth() counts columns, not code units", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["", 0],
    ["heart", 5],
    ["é", 1],
    ["e\u0301", 1], // combining accent
    ["心", 2],
    ["ﾊ", 1], // halfwidth kana
    ["한글", 4],
    ["💚", 2],
    ["👩‍🚀", 2], // three code points joined
    ["❤️", 2],
    ["\u200b", 0],
    ["\x1b[32m━━\x1b[39m", 2],
  ];
  for (const [text, width] of cases) assert.equal(displayWidth(text), width, JSON.stringify(text));
});

Deno.test("truncate() keeps whole characters and marks the cut", () => {
  assert.equal(truncate("heart", 5), "heart");
  assert.equal(truncate("hearts", 5), "hear…");
  assert.equal(truncate("心心心", 5), "心心…");
  assert.equal(truncate("心心心", 4), "心…");
  assert.equal(truncate("heart", 1), "…");
  assert.equal(truncate("heart", 0), "");
});

Deno.test("pad() fills to a width on either side and never cuts", () => {
  assert.equal(pad("心", 4) + "|", "心  |");
  assert.equal(pad("12", 4, "right"), "  12");
  assert.equal(pad("12345", 4), "12345");
});

Deno.test("oneLine() takes the power over the terminal from foreign text", () => {
  assert.equal(oneLine("a\nb\r\n\tc\x1b[2Jd\u009be"), "a b c [2Jd e");
});
