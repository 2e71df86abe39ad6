import assert from "node:assert/strict";
import { guidanceInterval, schedule } from "../../../coordinator/settings/picture_values.ts";

Deno.test("a guidance interval is two shares of the steps, in order", () => {
  const read = (text: string) => guidanceInterval.read(guidanceInterval.fromText(text));
  assert.deepEqual(read("0.2..0.8"), { from: 0.2, to: 0.8 });
  assert.deepEqual(read("0..1"), { from: 0, to: 1 });
  assert.deepEqual(read("0...5"), { from: 0, to: 0.5 });
  assert.deepEqual(read(".3...3"), { from: 0.3, to: 0.3 });
  for (
    const text of ["", "0.2", "..", "0.2..", "0.8..0.2", "0..1.5", "-0.1..1", "0.2,0.8", "a..b"]
  ) {
    assert.equal(read(text), undefined, text);
  }
  const values = [null, 3, [], {}, { from: 0 }, { from: "0", to: 1 }, { from: 0, to: NaN }];
  for (const value of [...values, { from: 0, to: 1, step: 2 }]) {
    assert.equal(guidanceInterval.read(value), undefined);
    assert.equal(guidanceInterval.inFile!.read(value), undefined);
  }
  assert.deepEqual(guidanceInterval.inFile!.read("0.2..0.8"), { from: 0.2, to: 0.8 });
});

Deno.test("a schedule is read by any of its names, and its own is kept", () => {
  assert.equal(schedule.read("SGM Uniform"), "sgm_uniform");
  assert.equal(schedule.read("use_karras_sigmas"), "karras");
  for (const value of ["", "carras!", 3, null]) assert.equal(schedule.read(value), undefined);
  assert.match(schedule.explain!("Karas").hint!, /did you mean "karras"/);
});
