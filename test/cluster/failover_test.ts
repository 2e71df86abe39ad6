/** What `deno task fault` plays at length, in short: real workers, and the bits of an undisturbed run. */

import assert from "node:assert/strict";
import { playScenario } from "../fault/scenarios/run_scenario.ts";
import type { Check, Scenario } from "../fault/scenarios/scenario.ts";
import { testTutti } from "../support/run_tutti.ts";

const CHECKS: readonly Check[] = ["no image failed", "equal bits", "nothing left"];

const SPARE: Scenario = {
  name: "spare",
  what: "a worker is frozen in one image and killed in the next one; one spare per expert",
  cluster: { replicas: 2 },
  load: { images: 2, steps: 3, parkSeconds: 300 },
  events: [
    { at: { image: 0 }, action: { kind: "freeze" } },
    { at: { image: 1 }, action: { kind: "end", signal: "SIGKILL", startsAgain: false } },
  ],
  checks: CHECKS,
};

const NO_SPARE: Scenario = {
  name: "no spare",
  what: "the only worker of an expert is killed; another one starts at its address",
  cluster: { replicas: 1 },
  load: { images: 1, steps: 3, parkSeconds: 300 },
  events: [{
    at: { image: "each" },
    action: { kind: "end", signal: "SIGKILL", startsAgain: true },
  }],
  checks: CHECKS,
};

for (const scenario of [SPARE, NO_SPARE]) {
  testTutti(`${scenario.what}: no image is lost, and no bit`, async (home) => {
    const { images, losses, checks } = await playScenario(scenario, { home, seed: 1 });
    assert.deepEqual(checks, CHECKS.map((check) => ({ check })));
    assert.deepEqual(images.map(({ strikes }) => strikes), images.map(() => 1));
    assert.ok(losses.length >= images.length, `${losses.length} losses`);
    // A closed channel of grpc-js whose peer is gone keeps a timer of up to RECONNECT_MAX_MS, which
    // Deno counts as both.
  }, { sanitizeOps: false, sanitizeResources: false });
}
