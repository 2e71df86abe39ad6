import assert from "node:assert/strict";
import { SAMPLERS } from "../../../coordinator/sampling/samplers/samplers.ts";
import { SIGMA_SCHEDULES } from "../../../coordinator/sampling/samplers/sigma_schedules.ts";
import { testTutti } from "../../support/run_tutti.ts";

interface SamplerFacts {
  readonly name: string;
  readonly evaluationsPerStep: number;
  readonly drawsNoise: boolean;
  readonly schedules: readonly string[];
  readonly schedule?: string;
  readonly isDefault: boolean;
}

testTutti(
  "tutti samplers lists every sampler and schedule, for people and programs",
  async (home) => {
    const { stdout } = await home.expect(0, ["samplers"]);
    for (const { name, summary } of SAMPLERS) {
      const row = stdout.split("\n").find((line) => line.startsWith(`${name} `));
      assert.ok(row?.includes(summary), name);
    }
    for (const schedule of SIGMA_SCHEDULES) assert.match(stdout, new RegExp(`^${schedule} `, "m"));
    const facts = await home.json<SamplerFacts>(["samplers"]);
    assert.deepEqual(facts.map(({ name }) => name), SAMPLERS.map(({ name }) => name));
    const usual = facts.filter(({ isDefault }) => isDefault).map(({ name }) => name);
    assert.deepEqual(usual, ["dpmpp_2m"]);
    const byName = new Map(facts.map((each) => [each.name, each]));
    const costs = ["euler", "pndm", "heun", "dpm_solver_3s", "dpmpp_3s"].map((name) =>
      byName.get(name)!.evaluationsPerStep
    );
    assert.deepEqual(costs, [1, 1, 2, 3, 1]);
    assert.deepEqual(byName.get("ddim")!.schedules, ["leading", "linspace", "trailing"]);
    assert.deepEqual(
      ["euler", "euler_a", "lcm"].map((name) => byName.get(name)!.drawsNoise),
      [false, true, true],
    );
  },
);

testTutti("tutti samplers NAME is one row, and an unknown name gets the nearest", async (home) => {
  const [joined, ...others] = await home.json<SamplerFacts>(["samplers", "DPM++ 2M Karras"]);
  assert.deepEqual([joined!.name, joined!.schedule], ["dpmpp_2m_karras", "karras"]);
  assert.deepEqual(others, []);
  const { stderr } = await home.expect(2, ["samplers", "hein"]);
  assert.match(stderr, /must be one of ddim, .*current value is "hein" \(did you mean "heun"\?\)/);
});
