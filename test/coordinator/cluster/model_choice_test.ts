import assert from "node:assert/strict";
import { readModelChoice } from "../../../coordinator/cluster/model_choice.ts";
import { TomlFields } from "../../../shared/toml/toml_fields.ts";
import { FormatError } from "../../../shared/errors.ts";

const read = (table: Record<string, unknown>) =>
  readModelChoice(new TomlFields("castles.toml", "experts[1]", table));

Deno.test("readModelChoice() reads a name, a hash or its beginning, or both", () => {
  assert.equal(read({ name: "photo", model: "photo" }), undefined);
  assert.deepEqual(read({ model_name: "photo v2" }), { name: "photo v2" });
  assert.deepEqual(read({ model_hash: "ab12" }), { hash: "ab12" });
  const hash = "ab".repeat(32);
  assert.deepEqual(read({ model_name: "photo", model_hash: hash }), { name: "photo", hash });
});

Deno.test("readModelChoice() names file, key, value and expectation of what is wrong", () => {
  const cases: readonly [table: Record<string, unknown>, message: string][] = [
    [{ model_name: 3 }, 'experts[1].model_name" must be the name of a model'],
    [{ model_name: "" }, 'must be the name of a model that workers serve: current value is ""'],
    [{ model_hash: "AB12" }, '"experts[1].model_hash" must be 4 to 64 hexadecimal digits'],
    [{ model_hash: "ab1" }, 'current value is "ab1"'],
    [{ model_hash: "ab".repeat(33) }, "must be 4 to 64 hexadecimal digits"],
    [
      { model_name: "photo", address: "gpu-1:7070" },
      'experts[1] must have "model_name" (workers are found over NATS) or "address", not both',
    ],
    [
      { model_hash: "ab12", model: "photo" },
      '"model_hash" (workers are found over NATS) or "model"',
    ],
    [{ model_name: "photo", lora: ["ink.safetensors:1"] }, 'or "lora", not both'],
  ];
  for (const [table, message] of cases) {
    assert.throws(() => read(table), (error) => {
      assert.ok(error instanceof FormatError);
      assert.ok(error.message.startsWith("castles.toml: "), error.message);
      assert.ok(error.message.includes(message), error.message);
      return true;
    });
  }
});
