import assert from "node:assert/strict";
import { dirname } from "node:path";
import {
  computeBytes,
  randomUNetBytes,
  randomUNets,
} from "../../../coordinator/bench/bench_model.ts";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";

Deno.test("the models of benchmarks have the published numbers of parameters", () => {
  assert.equal(computeBytes("sd15"), 4 * 859_520_964);
  assert.equal(computeBytes("sdxl"), 4 * 2_567_463_684);
  assert.equal(randomUNetBytes("sd15"), 2 * 859_520_964);
  // Half of every width is a quarter of nearly every weight.
  assert.ok(Math.abs(computeBytes("sd15-half") / computeBytes("sd15") - 0.25) < 0.01);
});

Deno.test("randomUNets() writes files that open, with weights of their own, and removes them", async () => {
  const models = await randomUNets("toy", { count: 2 });
  const { configFrom } = models;
  const hashes = new Set<string>();
  for (const model of models.paths) {
    const expert = await openLocalExpert({
      ...{ model, device: "cpu", lanes: 1, threads: 1 },
      ...(configFrom !== undefined && { configFrom }),
    });
    hashes.add(expert.description.modelHash);
    assert.deepEqual(expert.description.texts, []);
    await expert.close();
  }
  assert.equal(hashes.size, 2);
  await models[Symbol.asyncDispose]();
  assert.equal(await exists(dirname(models.paths[0]!)), false);
});
