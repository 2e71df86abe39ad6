import assert from "node:assert/strict";
import { join } from "node:path";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";

const fields = (json: unknown) => new ConfigFields(json, "model/config.json");

Deno.test("ConfigFields reads values and falls back where a key is absent or null", () => {
  const f = fields({ n: 3, zero: 0, x: -0.5, yes: true, word: "b", list: [1, 2], nothing: null });
  assert.equal(f.count("n"), 3);
  assert.equal(f.count("absent", 7), 7);
  assert.equal(f.count("nothing", 7), 7);
  assert.equal(f.index("zero"), 0);
  assert.equal(f.number("x"), -0.5);
  assert.equal(f.boolean("yes"), true);
  assert.equal(f.choice("word", ["a", "b"]), "b");
  assert.deepEqual(f.counts("list"), [1, 2]);
  assert.deepEqual(f.countPerLevel("n", 4), [3, 3, 3, 3]);
  assert.deepEqual(f.countPerLevel("list", 2), [1, 2]);
  assert.deepEqual([f.has("n"), f.has("nothing"), f.has("absent")], [true, false, false]);
});

Deno.test("ConfigFields refuses wrong values, naming file, key, value and what was expected", () => {
  const message = (key: string, wanted: string, current: string) =>
    `Config "model/config.json": "${key}" must be ${wanted}: current value is ${current}`;
  const cases: readonly (readonly [unknown, (f: ConfigFields) => unknown, string])[] = [
    [{}, (f) => f.count("k"), message("k", "a whole number >= 1", "absent")],
    [{ k: null }, (f) => f.count("k"), message("k", "a whole number >= 1", "absent")],
    [{ k: 0 }, (f) => f.count("k", 1), message("k", "a whole number >= 1", "0")],
    [{ k: 1.5 }, (f) => f.count("k"), message("k", "a whole number >= 1", "1.5")],
    [{ k: "4" }, (f) => f.count("k"), message("k", "a whole number >= 1", '"4"')],
    [{ k: -1 }, (f) => f.index("k"), message("k", "a whole number >= 0", "-1")],
    [{ k: "x" }, (f) => f.number("k"), message("k", "a number", '"x"')],
    [{ k: 1 }, (f) => f.boolean("k"), message("k", "true or false", "1")],
    [{ k: "c" }, (f) => f.choice("k", ["a", "b"]), message("k", 'one of "a", "b"', '"c"')],
    [{ k: [] }, (f) => f.counts("k"), message("k", "a list of whole numbers >= 1", "[]")],
    [{ k: [2, 0] }, (f) => f.counts("k"), message("k", "a list of whole numbers >= 1", "[2,0]")],
    [
      { k: [1, 2] },
      (f) => f.countPerLevel("k", 3),
      message("k", "a whole number >= 1 or a list of 3", "[1,2]"),
    ],
    [{ k: ["a"] }, (f) => f.choices("k", ["a", "b"], 2), message("k", '2 of "a", "b"', '["a"]')],
  ];
  for (const [json, read, text] of cases) {
    assert.throws(() => read(fields(json)), { name: "FormatError", message: text });
  }
});

Deno.test("ConfigFields.mustBe() lets an absent key pass and refuses what is not built", () => {
  fields({}).mustBe("act_fn", "silu");
  fields({ act_fn: "silu" }).mustBe("act_fn", "silu", "swish");
  fields({ list: null }).mustBe("list", null);
  assert.throws(() => fields({ act_fn: "gelu" }).mustBe("act_fn", "silu", "swish"), {
    name: "FormatError",
    message: 'Config "model/config.json" needs a feature that is not supported: ' +
      '"act_fn" must be "silu" or "swish": current value is "gelu"',
  });
});

Deno.test("ConfigFields.read() refuses files that are missing, no JSON or no object", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "config.json");
    await assert.rejects(ConfigFields.read(path), { name: "FormatError", message: /Cannot read/ });
    for (const text of ["{", "", "\u0000"]) {
      await Deno.writeTextFile(path, text);
      await assert.rejects(ConfigFields.read(path), {
        name: "FormatError",
        message: /is not JSON/,
      });
    }
    for (const text of ["[]", "null", "3", '"text"']) {
      await Deno.writeTextFile(path, text);
      await assert.rejects(ConfigFields.read(path), {
        name: "FormatError",
        message: `Config "${path}" must be a JSON object: current value is ${text}`,
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
