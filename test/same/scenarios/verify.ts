/** The errors that `tutti verify` finds against reference numbers: they are small, and must be the same small ones. @module */

import assert from "node:assert/strict";
import { jsonLines, LONG_LIVED_MS } from "../../support/run_tutti.ts";
import type { Tensor } from "../../../shared/tensor/tensor.ts";
import { numbers } from "../outcome.ts";
import type { Scenario } from "../scenario.ts";

/** A line of `tutti verify --json`. */
interface CheckLine {
  readonly name: string;
  readonly comparisons: readonly {
    readonly tensor: string;
    /** JSON has no infinity: null. */
    readonly relativeL2: number | null;
    readonly maxAbs: number | null;
  }[];
}

export const VERIFY: Scenario = {
  name: "verify",
  what: "errors of all checks against the goldens that both versions know",
  mayGrow: true,
  obstacle: async ({ goldens }) => {
    const isThere = await Deno.stat(goldens).then(() => true, () => false);
    return isThere ? undefined : `there are no goldens at ${goldens}`;
  },
  play: async ({ home, goldens }) => {
    const args = ["verify", goldens, "--json"];
    const { code, stdout, stderr } = await home.run(args, { timeoutMs: LONG_LIVED_MS });
    // A check that fails does so in both versions, or is a difference.
    assert.ok(code === 0 || code === 1, stderr);
    const errors = new Map<string, Tensor>();
    for (const { name, comparisons = [] } of jsonLines<Partial<CheckLine>>(stdout)) {
      comparisons.forEach(({ tensor, relativeL2, maxAbs }, i) => {
        // Tensors of one check may have the same name.
        const pair = numbers([relativeL2 ?? Infinity, maxAbs ?? Infinity]);
        errors.set(`${name} ${i}: ${tensor}`, pair);
      });
    }
    return { errors };
  },
};
