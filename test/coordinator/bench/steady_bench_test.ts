import assert from "node:assert/strict";
import {
  leaks,
  steadyFigures,
  type SteadyRow,
  warmSessions,
} from "../../../coordinator/bench/steady_bench.ts";

const CLEAN: SteadyRow = {
  plane: "shm",
  worker: { bytes: 100e6, bytesPerThousandSteps: -2e6 },
  coordinator: { bytes: 50e6, bytesPerThousandSteps: 1e6 },
  kept: { descriptors: 0, sockets: -1, regions: 0 },
};

Deno.test("steadyFigures() tell memory, its growth, and what was kept", () => {
  const figures = steadyFigures([CLEAN]);
  assert.deepEqual(figures.map(({ name, value, unit }) => [name, value, unit]), [
    ["steady.shm.worker-memory", 100e6, "bytes"],
    ["steady.shm.worker-growth", -2e6, "bytes"],
    ["steady.shm.coordinator-memory", 50e6, "bytes"],
    ["steady.shm.coordinator-growth", 1e6, "bytes"],
    ["steady.shm.descriptors", 0, "count"],
    ["steady.shm.sockets", -1, "count"],
    ["steady.shm.regions", 0, "count"],
  ]);
});

Deno.test("leaks() are what a process has more than before; less is none", () => {
  const leaking: SteadyRow = {
    ...{ ...CLEAN, plane: "tcp", kept: { descriptors: 3, sockets: 2, regions: 0 } },
  };
  assert.deepEqual(leaks([CLEAN]), []);
  assert.deepEqual(leaks([CLEAN, leaking]), ["tcp kept 3 descriptors", "tcp kept 2 sockets"]);
});

Deno.test("a quarter of the sessions warms up, and one at least", () => {
  assert.deepEqual([3, 4, 20, 21].map(warmSessions), [1, 1, 5, 5]);
});
