import assert from "node:assert/strict";
import { parseAttention } from "../../../shared/prompt/attention.ts";
import { assertGrowsLinearly } from "../../support/growth.ts";

/** `"text"` has weight 1, `["text", 1.1]` another one, `null` is a break. */
type Expected = readonly (string | readonly [string, number] | null)[];

/** Prompts that the webui's own documentation and tests answer, and what follows from its rules. */
const CASES: readonly (readonly [name: string, prompt: string, expected: Expected])[] = [
  ["text without brackets", "normal text", ["normal text"]],
  ["nothing", "", [""]],
  ["round brackets", "an (important) word", ["an ", ["important", 1.1], " word"]],
  ["square brackets", "a [faint] line", ["a ", ["faint", 1 / 1.1], " line"]],
  ["a number", "a (red:1.5) car", ["a ", ["red", 1.5], " car"]],
  ["numbers of every form", "(a:2)(b:.5)(c:3.)(d:+4)(e:-1)(f: 6 )", [
    ["a", 2],
    ["b", 0.5],
    ["c", 3],
    ["d", 4],
    ["e", -1],
    ["f", 6],
  ]],
  ["a weight of nothing", "(gone:0)", [["gone", 0]]],
  ["neighbours of equal weight as one text", "(unnecessary)(parens)", [
    ["unnecessaryparens", 1.1],
  ]],
  ["everything together", "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", [
    "a ",
    ["house", 1.3 * 1.1 * 1.1],
    [" ", 1.1],
    "on",
    [" a ", 1.1],
    ["hill", 0.5 * 1.1],
    [", sun, ", 1.1],
    ["sky", 1.1 * 1.1 * 1.1 * 1.1],
    [".", 1.1],
  ]],
  ["brackets of two kinds that cross", "(a [b) c]", [
    ["a ", 1.1],
    ["b", 1.1 * (1 / 1.1)],
    [" c", 1 / 1.1],
  ]],
  ["a round bracket that stays open", "(unbalanced", [["unbalanced", 1.1]]],
  ["a square bracket that stays open", "a [b", ["a ", ["b", 1 / 1.1]]],
  ["brackets that close nothing", "a) b] c:1.5)", ["a) b] c:1.5)"]],
  ["escaped brackets", String.raw`\(literal\] \[\)`, ["(literal] [)"]],
  ["an escaped bracket within brackets", String.raw`(a\)b)`, [["a)b", 1.1]]],
  ["an escaped backslash", String.raw`a\\(b)`, ["a\\", ["b", 1.1]]],
  ["a backslash without effect", String.raw`a\b\ `, ["ab "]],
  ["a backslash at the end", "a\\", ["a"]],
  ["a colon that is no weight", "(16:9 view) time:", [["16:9 view", 1.1], " time:"]],
  ["a weight wherever a number ends a bracket", "(view 16:9)", [["view 16", 9]]],
  ["a weight that is no number", "(a:1.2.3)(b:.)(c:)(d:1e3)", [["a:1.2.3b:.c:d:1e3", 1.1]]],
  ["empty brackets", "a()[]b", ["ab"]],
  ["a line break", "a\n(b)", ["a\n", ["b", 1.1]]],
  ["BREAK", "a BREAK b", ["a", null, "b"]],
  ["BREAK between lines", "a,\nBREAK\n(b)", ["a,", null, "", ["b", 1.1]]],
  ["BREAK twice", "a BREAK BREAK b", ["a", null, "", null, "b"]],
  ["BREAK alone", "BREAK", ["", null, ""]],
  ["BREAK within brackets", "(a BREAK b:2)", [["a", 2], null, ["b", 2]]],
  ["no BREAK in other words", "BREAKFAST break unBREAKable ÉBREAK BREAK_ 1BREAK", [
    "BREAKFAST break unBREAKable ÉBREAK BREAK_ 1BREAK",
  ]],
];

for (const [name, prompt, expected] of CASES) {
  Deno.test(`parseAttention() reads ${name}`, () => {
    const parts = expected.map((part) => {
      if (part === null) return { kind: "break" };
      const [text, weight] = typeof part === "string" ? [part, 1] : part;
      return { kind: "text", text, weight };
    });
    const actual = parseAttention(prompt);
    assert.equal(actual.length, parts.length, JSON.stringify(actual));
    for (const [i, part] of actual.entries()) {
      if (part.kind === "break") assert.deepEqual(part, parts[i]);
      else {
        const { weight, ...rest } = part;
        const { weight: wanted, ...others } = parts[i] as typeof part;
        assert.deepEqual(rest, others);
        assert.ok(Math.abs(weight - wanted) < 1e-12, `${rest.text}: ${weight}, not ${wanted}`);
      }
    }
  });
}

for (const prompt of ["(a:1001)", "(a:-1001)", `(a:${"9".repeat(400)})`, "(".repeat(80) + "a"]) {
  Deno.test(`parseAttention() refuses the weight of ${prompt.slice(0, 20)}`, () => {
    assert.throws(() => parseAttention(`b ${prompt}`), {
      name: "UsageError",
      message: /^Weight of "a" in the prompt must lie in -1000\.\.1000: current value is /,
    });
  });
}

Deno.test("parseAttention() takes long hostile prompts in linear time", () => {
  const hostile: readonly ((deep: number) => string)[] = [
    (deep) => "[".repeat(deep) + "]".repeat(deep),
    (deep) => "([".repeat(deep),
    (deep) => ":".repeat(deep) + "(".repeat(20),
    (deep) => "(a:" + "1".repeat(deep),
    (deep) => "\\".repeat(deep),
    (deep) => " ".repeat(deep) + "BREA",
    (deep) => "x".repeat(deep) + "BREAK".repeat(deep),
  ];
  for (const prompt of hostile) {
    const work = (deep: number) => assert.ok(parseAttention(prompt(deep)).length >= 1);
    assertGrowsLinearly(work, { length: 2_000, name: prompt(10) });
  }
});
