import assert from "node:assert/strict";
import { jobSpecFromJson, jobSpecToJson, newJob } from "../../../coordinator/jobs/job_spec.ts";
import { JOB } from "./small_job.ts";

const LARGEST = 2n ** 64n - 1n;

Deno.test("jobSpecFromJson() reads what jobSpecToJson() wrote", () => {
  const full = {
    ...JOB,
    seeds: [0n, LARGEST],
    size: { width: 64, height: 128 },
    waves: 2,
    wireDtype: "f16,OUT08=int8",
    aggregate: ["IN04", "M00"],
  };
  for (const spec of [JOB, full, { ...JOB, aggregate: "noise" as const }]) {
    const json = JSON.parse(JSON.stringify(jobSpecToJson(spec)));
    assert.deepEqual(jobSpecFromJson(json, "Job"), spec);
  }
});

/** What the first version wrote, with a field for all that was not given to it, and with what was. */
const FIRST_RECORDS = [
  '{"version":1,"prompt":"a","negative":"","promptSyntax":"a1111","clipSkip":1,"steps":50,' +
  '"guidance":7.5,"seeds":["7"],"ensemble":"shapes","wireDtype":"auto"}',
  '{"version":1,"prompt":"a","negative":"b","promptSyntax":"plain","clipSkip":2,"steps":4,' +
  '"guidance":1,"seeds":["7","8"],"ensemble":"shapes","size":{"width":64,"height":128},"waves":2,' +
  '"wireDtype":"f16,OUT08=int8","aggregate":["IN04","M00"]}',
].map((text) => JSON.parse(text));

Deno.test("records of the first version are read, and what they say is written as they had it", () => {
  for (const record of FIRST_RECORDS) {
    const written = JSON.stringify(jobSpecToJson(jobSpecFromJson(record, "Job")));
    assert.deepEqual(JSON.parse(written), record);
  }
  const subject = { prompt: "a", seeds: [7n], ensemble: "shapes" };
  assert.deepEqual(jobSpecToJson(newJob(subject)), FIRST_RECORDS[0]);
});

Deno.test("jobSpecFromJson() names the field, its value and what was expected", () => {
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ version: 2 }, /^Job: "version" must be 1: current value is 2$/],
    [{ prompt: undefined }, /^Job: "prompt" must be a string .*: current value is absent$/],
    [{ prompt: "x".repeat(20_001) }, /"prompt" must be a string of at most 20000 characters/],
    [{ steps: 0 }, /"steps" must be a whole number in 1\.\.1000: current value is 0$/],
    [{ steps: "4" }, /"steps" must be .*: current value is "4"$/],
    [{ guidance: null }, /"guidance" must be a finite number: current value is null$/],
    [{ seeds: [] }, /"seeds" must be 1 to 1024 whole numbers .*: current value is \[\]$/],
    [{ seeds: [7] }, /"seeds" must be .* each as a string of digits: current value is \[7\]$/],
    [{ seeds: [String(LARGEST + 1n)] }, /"seeds" must be .* below 2\^64/],
    [{ size: { width: 64 } }, /"size" must be \{"width": pixels, "height": pixels\}/],
    [
      { size: { width: 65, height: 64 } },
      /^Job: "size" must be .* multiples of 8 in 8\.\.16384: current value is \{"width": 65, "height": 64\}$/,
    ],
    [{ size: { width: 64, height: 64, depth: {} } }, /is \{"width": 64, .*"depth": an object\}$/],
    [{ waves: 0 }, /"waves" must be a whole number in 1\.\.1024: current value is 0$/],
    [{ wireDtype: "f8" }, /"wireDtype" must be what --wire-dtype takes.* "f8"$/],
    [{ promptSyntax: "comfy" }, /"promptSyntax" must be one of a1111, plain: .* "comfy"$/],
    [{ aggregate: ["IN4"] }, /"aggregate" must be all, noise or a list of block ids/],
    [{ ensemble: "a/b" }, /"ensemble" must be a name of up to 64 letters/],
    [{ step: 4 }, /^Job: "step" is no known field \(did you mean "steps"\?\): known fields are /],
  ];
  for (const [change, message] of cases) {
    const json = { ...jobSpecToJson(JOB), ...change };
    assert.throws(() => jobSpecFromJson(json, "Job"), { name: "FormatError", message });
  }
  for (const json of [null, "text", [], 5]) {
    assert.throws(() => jobSpecFromJson(json, "Job"), { message: /^Job must be a JSON object/ });
  }
});
