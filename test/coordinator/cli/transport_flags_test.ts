import assert from "node:assert/strict";
import { PlaneFallbacks, transportOptions } from "../../../coordinator/cli/transport_flags.ts";

Deno.test("a plane that does not work is told of once per worker, and counted", () => {
  const warnings: string[] = [];
  const fallbacks = new PlaneFallbacks((text) => void warnings.push(text));
  const { onFallback } = transportOptions({ plane: "auto", wireDtype: {} }, fallbacks);
  onFallback!({ worker: "a:1", plane: "shm", reason: "no space is left" });
  onFallback!({ worker: "a:1", plane: "shm", reason: "still none" });
  onFallback!({ worker: "b:1", plane: "shm", reason: "no space is left" });
  assert.deepEqual(warnings, [
    "plane shm to worker a:1 is not used: no space is left",
    "plane shm to worker b:1 is not used: no space is left",
  ]);
  assert.deepEqual(fallbacks.list().map(({ count, reason }) => [count, reason]), [
    [2, "still none"],
    [1, "no space is left"],
  ]);
});
