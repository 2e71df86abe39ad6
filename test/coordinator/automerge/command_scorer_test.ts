import assert from "node:assert/strict";
import { commandScorer } from "../../../coordinator/automerge/command_scorer.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const { signal } = new AbortController();
const score = (command: string, pictures: readonly string[] = []) =>
  commandScorer(command).score({ pictures, prompts: [] }, signal);

Deno.test("a command scores by the last line that it prints, given the pictures' paths", async () => {
  await using folder = await tempFolder();
  const paths = ["a b.png", "c.png"].map((name) => folder.join(name));
  for (const path of paths) await Deno.writeTextFile(path, "12345");
  assert.equal(await score("echo loading; cat", paths).catch(() => "none"), 1234512345);
  assert.equal(await score(`echo -0.25e1; true`), -2.5);
});

Deno.test("a command that fails or prints no number is named, with its last words", async () => {
  const cases = [
    [
      "echo no model >&2; exit 3; true",
      /Scorer "echo no model .*" gave no score: it ended with exit code 3 \(no model\)/,
    ],
    ["echo good; true", /its last line must be a number: it is "good"/],
    ["true", /its last line must be a number: it is ""/],
    ["echo NaN; true", /it is "NaN"/],
    ["/none/such", /Scorer "\/none\/such" gave no score: it ended with exit code 127/],
  ] as const;
  for (const [command, message] of cases) {
    await assert.rejects(score(command), {
      name: "TuttiError",
      code: "FAILED_PRECONDITION",
      message,
    });
  }
});
