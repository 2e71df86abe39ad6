import assert from "node:assert/strict";
import { lagrangeWeights } from "../../../../coordinator/sampling/samplers/lagrange.ts";

Deno.test("lagrangeWeights() integrates polynomials of a degree below the number of nodes exactly", () => {
  const nodes = [2, 3.5, 7, 8];
  const [from, to] = [2, 0.5];
  for (let count = 1; count <= nodes.length; count++) {
    const used = nodes.slice(0, count);
    const moments = used.map((_, k) => (to - from) ** (k + 1) / (k + 1));
    const weights = lagrangeWeights(used, moments);
    for (let power = 0; power < count; power++) {
      const sum = weights.reduce((total, weight, i) => total + weight * used[i]! ** power, 0);
      const exact = (to ** (power + 1) - from ** (power + 1)) / (power + 1);
      assert.ok(Math.abs(sum - exact) < 1e-12 * Math.abs(exact), `${count} nodes, u^${power}`);
    }
  }
});
