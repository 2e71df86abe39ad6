import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { readSuite } from "../../../../coordinator/evaluation/suite/suite_file.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const GOOD = `prompts = "prompts.txt"\nseeds = [1, "18446744073709551615"]\nmethods = ["afa"]\n`;

Deno.test("readSuite() reads paths relative to the file, and refuses what is wrong by key", async () => {
  await using folder = await tempFolder();
  const path = folder.join("suite.toml");
  await writeFile(path, `${GOOD}steps = [20, 50]\n[judges]\nclip = "clip"\n`);
  assert.deepEqual(await readSuite(path), {
    prompts: folder.join("prompts.txt"),
    seeds: [1n, 2n ** 64n - 1n],
    methods: ["afa"],
    steps: [20, 50],
    judges: { clip: folder.join("clip") },
  });
  const wrong: readonly [string, RegExp][] = [
    [
      GOOD.replace("prompts =", "prompt ="),
      /"prompt" is no known key \(did you mean "prompts"\?\)/,
    ],
    [GOOD.replace("[1,", "[-1,"), /"seeds" must be a list of seeds, each once: current value is/],
    [GOOD.replace(`["afa"]`, `["afa", "afa"]`), /"methods" must be a list of methods, each once/],
    [GOOD.replace(`["afa"]`, `["agfa"]`), /agfa/],
    [`${GOOD}steps = []\n`, /"steps" must be a list of numbers of steps/],
    [`${GOOD}[judges]\nklip = "x"\n`, /"klip" is no known key in judges \(did you mean "clip"\?\)/],
  ];
  for (const [text, message] of wrong) {
    await writeFile(path, text);
    await assert.rejects(readSuite(path), message);
  }
});
