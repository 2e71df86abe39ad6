import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { goldenPath } from "../support/goldens.ts";
import { testTutti } from "../support/run_tutti.ts";
import { copyGoldenJudges, writeTinyClip } from "../support/tiny_judges.ts";

const SUITE = `prompts = "prompts.txt"
seeds = [1, 2]
methods = ["average", "only:round"]
steps = [3]
reference = "${goldenPath("eval", "preprocessing")}"

[judges]
clip = "judges/clip"
inception = "judges/inception.safetensors"
dinov2 = "judges/dinov2"
`;

interface Report {
  readonly rows: readonly {
    readonly title: string;
    readonly pictures: number;
    readonly judges: Readonly<Record<string, { readonly mean: number }>>;
    readonly distances: Readonly<Record<string, number>>;
  }[];
}

testTutti(
  "tutti eval draws, scores and reports; one that was cut off ends with the same numbers",
  async (home) => {
    await home.expect(0, ["up"]);
    await copyGoldenJudges(home.file("judges"));
    await writeTinyClip(home.file("judges", "clip"), 1);
    await writeFile(home.file("prompts.txt"), "a red circle\na blue square\n");
    await writeFile(home.file("suite.toml"), SUITE);
    const run = ["eval", "--suite", "suite.toml", "--json"];
    const [report] = await home.json<Report>([...run, "--out", "whole"]);
    assert.deepEqual(report!.rows.map(({ title, pictures }) => [title, pictures]), [
      ["average", 4],
      ["only:round", 4],
    ]);
    const names = ["CMMD", "FID", "FID-CLEAN", "FID-TF", "KID", "MIND", "FD-DINOv2"];
    for (const { judges, distances } of report!.rows) {
      assert.deepEqual([Object.keys(judges), Object.keys(distances)], [["CLIP-T"], names]);
      assert.ok(Object.values(distances).every(Number.isFinite));
    }

    const cut = home.start(["eval", "--suite", "suite.toml", "--out", "cut"]);
    await cut.says(/Drawing [3-8] of 8/);
    cut.kill("SIGKILL");
    await cut.result;
    const [again] = await home.json<Report>([...run, "--out", "cut"]);
    assert.deepEqual(
      again!.rows.map(({ judges, distances }) => [judges, distances]),
      report!.rows.map(({ judges, distances }) => [judges, distances]),
    );
    const page = await Deno.readTextFile(home.file("cut", "report.html"));
    assert.equal(page.match(/<img /g)?.length, 4);

    // Another suite must not be mixed into the pictures of this one.
    await writeFile(home.file("suite.toml"), SUITE.replace("seeds = [1, 2]", "seeds = [1, 3]"));
    const { stderr } = await home.expect(2, ["eval", "--suite", "suite.toml", "--out", "cut"]);
    assert.match(stderr, /has pictures of another suite, other settings or other models/);
    await writeFile(home.file("suite.toml"), SUITE.replace("judges/clip", "judges"));
    const missing = await home.expect(4, ["eval", "--suite", "suite.toml", "--out", join("other")]);
    assert.match(missing.stderr, /"clip" must be a folder with open_clip_model\.safetensors with/);
    await writeFile(home.file("suite.toml"), SUITE.replace(/reference = .*/, 'reference = "none"'));
    const nowhere = await home.expect(4, ["eval", "--suite", "suite.toml", "--out", "nowhere"]);
    assert.match(nowhere.stderr, /"reference" must be a folder of pictures: cannot read/);
    assert.doesNotMatch(nowhere.stderr, /Drawing/);
    await home.expect(0, ["down"]);
  },
);
