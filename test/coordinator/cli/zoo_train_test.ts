/** `tutti zoo train` with what cannot be trained. @module */

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { testTutti } from "../../support/run_tutti.ts";

testTutti(
  "zoo train says what is wrong with its flags or its folder before it trains",
  async (home) => {
    await mkdir(home.file("begun"));
    await writeFile(home.file("begun/zoo.json"), `{"seed": "7", "scale": 1}`);
    const cases = [
      [2, /--scale must be above 0 and at most 1: current value is 2/, ["new", "--scale", "2"]],
      [2, /Stage "round" needs "vae": "new\/vae" does not exist/, ["new", "--stage", "round"]],
      [2, /--stage must be .*vae.*current value is "vea"/s, ["new", "--stage", "vea"]],
      [4, /"seed" must be "7" as in "begun\/zoo\.json": current value is "0"/, ["begun"]],
    ] as const;
    for (const [code, message, args] of cases) {
      const result = await home.run(["zoo", "train", "--out", ...args]);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, message);
    }
  },
);
