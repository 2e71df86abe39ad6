import assert from "node:assert/strict";
import { rankCorrelation } from "../../../../coordinator/evaluation/metrics/rank_correlation.ts";
import { suiteReport } from "../../../../coordinator/evaluation/suite/report.ts";
import { reportMarkdown } from "../../../../coordinator/evaluation/suite/report_markdown.ts";
import { reportPage } from "../../../../coordinator/evaluation/suite/report_page.ts";
import { ScoreFile } from "../../../../coordinator/evaluation/suite/score_file.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

const ROWS = ["afa", "average"].map((method) => ({ title: method, method, steps: 8 }));
const score = (row: number, prompt: number, seed: string, value: number) => ({
  ...{ row, prompt, seed, picture: `${row}/${prompt}-${seed}.png`, msPerPicture: 100 * (row + 1) },
  scores: { A: value, B: -value },
});

const report = (scores: ReturnType<typeof score>[]) =>
  suiteReport({
    ...{ ensemble: "castles", prompts: ["one", "two"], seeds: ["9", "1"], rows: ROWS, scores },
    ...{ judges: ["A", "B"], distances: [{ FID: 2 }, { FID: 3 }] },
  });

Deno.test("suiteReport() pairs pictures of one prompt and seed, in whatever order they were scored", () => {
  const first = [
    score(0, 0, "9", 1),
    score(0, 0, "1", 2),
    score(0, 1, "9", 3),
    score(0, 1, "1", 4),
  ];
  const second = first.map((one) => score(1, one.prompt, one.seed, one.scores.A + 0.5));
  const { rows, agreement } = report([...second.toReversed(), ...first]);
  assert.deepEqual(rows[0]!.judges.A, { mean: 2.5 });
  // Half a point more for each, whatever the resample.
  assert.deepEqual(rows[1]!.judges.A, {
    mean: 3,
    difference: { mean: 0.5, low: 0.5, high: 0.5, wins: 4, ties: 0, losses: 0 },
  });
  assert.deepEqual([rows[1]!.pictures, rows[1]!.msPerPicture, rows[1]!.distances.FID], [4, 200, 3]);
  assert.deepEqual(agreement, [{ judges: ["A", "B"], rho: -1 }]);
});

Deno.test("rankCorrelation() goes by ranks, and equal scores share theirs", () => {
  assert.equal(rankCorrelation([1, 2, 3], [10, 100, 1000]), 1);
  assert.ok(Math.abs(rankCorrelation([1, 2, 2, 3], [1, 3, 2, 4]) - 0.9486832980505138) < 1e-12);
  assert.ok(Number.isNaN(rankCorrelation([1, 1], [1, 2])));
});

Deno.test("a report is told as Markdown and as a page that shows prompts as text", async () => {
  const told = report([0, 1].flatMap((row) => [score(row, 0, "9", 1), score(row, 1, "9", 2)]));
  const markdown = reportMarkdown({
    ...told,
    rows: told.rows.map((row) => ({ ...row, title: "a|b" })),
  });
  assert.match(markdown, /^\| a\\\|b \| 1\.5 \(\+0, \+0 to \+0\) /m);
  const rgb = new Uint8Array(64 * 64 * 3).fill(200);
  const picture = { width: 64, height: 64, rgb };
  const title = `<script>alert("x")</script>`;
  const page = await reportPage(told, [{ title, pictures: [picture, picture] }]);
  assert.doesNotMatch(page, /<script/);
  assert.match(page, /&lt;script&gt;alert\(&quot;x&quot;\)/);
  assert.doesNotMatch(page, /(src|href)="(?!data:)/);
});

Deno.test("ScoreFile: a line that was cut off is scored anew, one that is none is told", async () => {
  await using folder = await tempFolder();
  const path = folder.join("scores.jsonl");
  const file = await ScoreFile.open(path);
  await file.append(score(0, 0, "9", 1));
  await Deno.writeTextFile(path, `{"row":0,"pro`, { append: true });
  const again = await ScoreFile.open(path);
  assert.deepEqual(again.all, [score(0, 0, "9", 1)]);
  await again.append(score(0, 1, "9", 2));
  assert.equal((await ScoreFile.open(path)).all.length, 2);
  await Deno.writeTextFile(path, "none\n", { append: true });
  await assert.rejects(ScoreFile.open(path), /Line 3 of .* is no score: remove the line/);
});
