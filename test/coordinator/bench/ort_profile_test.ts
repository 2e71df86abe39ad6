import assert from "node:assert/strict";
import { mergeProfiles, parseProfile } from "../../../coordinator/bench/ort_profile.ts";

const run = (ts: number, dur: number) => ({ cat: "Session", name: "model_run", ts, dur });
const node = (op_name: string, ts: number, dur: number) => ({
  cat: "Node",
  name: `${op_name}_0_kernel_time`,
  ts,
  dur,
  args: { op_name },
});
const parse = (events: unknown) => parseProfile(JSON.stringify(events), "p.json");

Deno.test("parseProfile() sums the time of each operator, run by run", () => {
  const events = [
    { cat: "Session", name: "session_initialization", ts: 0, dur: 90 },
    node("Conv", 110, 20),
    { ...node("Conv", 105, 1000), name: "Conv_0_fence_before" },
    node("Add", 135, 5),
    node("Conv", 145, 30),
    run(100, 80),
    node("Conv", 210, 7),
    run(200, 20),
  ];
  assert.deepEqual(parse(events).map((profile) => [...profile]), [
    [["Conv", { calls: 2, ms: 0.05 }], ["Add", { calls: 1, ms: 0.005 }]],
    [["Conv", { calls: 1, ms: 0.007 }]],
  ]);
});

Deno.test("mergeProfiles() adds operators of several sessions", () => {
  const [a, b] = [[node("Conv", 1, 1000), run(0, 9)], [
    node("Conv", 1, 3000),
    node("Add", 2, 500),
    run(0, 9),
  ]].map((events) => parse(events)[0]!);
  assert.deepEqual([...mergeProfiles([a!, b!])], [
    ["Conv", { calls: 2, ms: 4 }],
    ["Add", { calls: 1, ms: 0.5 }],
  ]);
});

Deno.test("parseProfile() refuses what is no profile", () => {
  assert.throws(() => parseProfile("[", "p.json"), /Profile "p\.json" is not JSON: /);
  for (const json of [{}, [{}], [null], [{ ...run(0, 1), dur: "1" }]]) {
    assert.throws(() => parse(json), /must be a list of events with category, name and times/);
  }
  assert.throws(() => parse([node("Conv", 5, 1), run(10, 1)]), /outside of every run/);
  assert.throws(() => parse([run(0, 9), { ...node("Conv", 5, 1), args: {} }]), /outside/);
});
