import assert from "node:assert/strict";
import {
  commonProtocol,
  formatProtocol,
  PROTOCOL,
  TUTTI_VERSION,
} from "../../../shared/wire/version.ts";

Deno.test("commonProtocol() is the highest revision of both, or nothing", () => {
  const range = (min: number, max: number) => ({ min, max });
  assert.equal(commonProtocol(range(1, 1), range(1, 1)), 1);
  assert.equal(commonProtocol(range(1, 4), range(2, 3)), 3);
  assert.equal(commonProtocol(range(2, 5), range(1, 2)), 2);
  assert.equal(commonProtocol(range(1, 1), range(2, 3)), undefined);
  assert.equal(commonProtocol(range(4, 5), range(1, 3)), undefined);
  assert.equal(commonProtocol(range(1, 3), range(3, 2)), undefined);
  assert.deepEqual([formatProtocol(range(1, 1)), formatProtocol(range(1, 3))], ["1", "1..3"]);
});

Deno.test("this build has a version and speaks a protocol", () => {
  assert.match(TUTTI_VERSION, /^\d+\.\d+\.\d+/);
  assert.ok(PROTOCOL.min <= PROTOCOL.max);
});
