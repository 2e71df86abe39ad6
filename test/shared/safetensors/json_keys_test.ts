import assert from "node:assert/strict";
import { duplicateKey, valueCount } from "../../../shared/safetensors/json_keys.ts";

for (
  const [criterion, json, expected] of [
    ["nothing in an empty object", "{}", undefined],
    [
      "nothing where objects share keys",
      '{"a":{"k":1},"b":{"k":2},"k":[{"k":1},{"k":2}]}',
      undefined,
    ],
    ["nothing where values repeat keys", '{"a":"a","b":["a","a","b"]}', undefined],
    ["a key of the outer object", '{"a":1,"b":{},"a":2}', "a"],
    ["a key behind a nested object with it", '{"a":{"b":1},"b":2,"b":3}', "b"],
    ["a key of a nested object", '{"x":[{"a":1,"a":1}]}', "a"],
    ["the same key spelled with an escape", '{"a":1,"\\u0061":2}', "a"],
    ["a key with quotes, colons and braces", '{"\\"{:\\\\":1,"\\"{:\\\\":2}', '"{:\\'],
    ["a key before spaces and line ends", '{"a" \t\r\n :1,"a":2}', "a"],
    ["a key of the prototype", '{"__proto__":1,"__proto__":2}', "__proto__"],
  ] as const
) {
  Deno.test(`duplicateKey() finds ${criterion}`, () => {
    JSON.parse(json); // The function's precondition.
    assert.equal(duplicateKey(json), expected);
  });
}

Deno.test("duplicateKey() walks over a string of millions of characters", () => {
  assert.equal(duplicateKey(`{"a":"${"\\\\x".repeat(2_000_000)}","a":1}`), "a");
});

for (
  const [json, count] of [
    ["{}", 1],
    ['{"a":[1,2],"b":{}}', 5],
    ['{"a,[{":"\\",[{\\\\"}', 1],
    ['"never ends, [{', 0],
  ] as const
) {
  Deno.test(`valueCount() of ${json} leaves texts out`, () =>
    assert.equal(valueCount(json), count));
}
