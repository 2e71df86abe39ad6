/** A suite's report as one HTML page that needs no other file: the table, differences with their intervals, and same-seed pictures. @module */

import { encodePhoto } from "../../image/encode_photo.ts";
import { BICUBIC } from "../../image/resample.ts";
import { resizeBytes, type RgbImage } from "../../image/resize.ts";
import type { RowReport, SuiteReport } from "./report.ts";
import { agreementText, shortNumber, tableTitles, timeCell } from "./report_markdown.ts";

/** Pictures of one prompt and seed, by row of the report. */
export interface PictureRow {
  readonly title: string;
  readonly pictures: readonly RgbImage[];
}

/** Longest side of a picture on the page, pixels: smaller ones are enlarged to about the least. */
const SHOWN = 256, LEAST = 128;

export async function reportPage(
  report: SuiteReport,
  pictures: readonly PictureRow[],
): Promise<string> {
  const { ensemble, prompts, seeds, rows, agreement } = report;
  const judges = Object.keys(rows[0]?.judges ?? {});
  const agrees = agreementText(agreement);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(ensemble)}: ways of drawing compared</title>
<style>${STYLE}</style>
<main>
<h1>${escape(ensemble)}</h1>
<p>${prompts.length} prompts, ${seeds.length} seeds each. More is better of judges, less of distances.</p>
<div class="wide">${table(report)}</div>
${
    judges.length > 0 && rows.length > 1
      ? `<h2>Differences from ${
        escape(rows[0]!.title)
      }</h2><p>On the same prompts and seeds; lines are 95 % intervals. One that crosses 0 tells nothing.</p>
<div class="plots">${judges.map((judge) => intervals(judge, rows.slice(1))).join("")}</div>`
      : ""
  }
${agrees === undefined ? "" : `<p>${escape(agrees)}</p>`}
<h2>Pictures</h2>
${(await Promise.all(pictures.map((row) => pictureRow(row, rows)))).join("\n")}
</main>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --mark: #1f6fb4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; --mark: #6cb0f0; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0; font-size: 1.75rem; } h2 { margin: 2.5rem 0 .25rem; font-size: 1.25rem; }
p { margin: .25rem 0 1rem; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem .4rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
.row { display: flex; gap: .75rem; overflow-x: auto; margin-bottom: 1.5rem; }
.row figure { flex: none; } .row img { display: block; border-radius: 4px; } .row figcaption { font-weight: 400; font-size: .85rem; color: var(--soft); }
h3 { margin: 0 0 .5rem; font-size: 1rem; font-weight: 500; }`;

/** Means alone: the differences are in the plots. */
function table(report: SuiteReport): string {
  const heads = tableTitles(report).map((head) => `<th scope="col">${escape(head)}</th>`);
  const rows = report.rows.map((row) =>
    [
      row.title,
      ...Object.values(row.judges).map(({ mean }) => shortNumber(mean)),
      ...Object.values(row.distances).map(shortNumber),
      timeCell(row),
    ].map((cell) => `<td>${escape(cell)}</td>`).join("")
  );
  return `<table><thead><tr>${heads.join("")}</tr></thead><tbody>${
    rows.map((cells) => `<tr>${cells}</tr>`).join("")
  }</tbody></table>`;
}

const PLOT_WIDTH = 360, LEFT = 130, RIGHT = 32, LINE_HEIGHT = 26, TOP = 6;

/** One line per row of the report: its difference and the interval, around 0. */
function intervals(judge: string, rows: readonly RowReport[]): string {
  const differences = rows.flatMap(({ title, judges }) => {
    const { difference } = judges[judge]!;
    return difference ? [{ title, ...difference }] : [];
  });
  const widest = Math.max(...differences.flatMap(({ low, high }) => [-low, high]));
  const reach = widest > 0 ? widest : 1;
  const x = (value: number) => LEFT + (value / reach + 1) / 2 * (PLOT_WIDTH - LEFT - RIGHT);
  const height = TOP + differences.length * LINE_HEIGHT + 18;
  const lines = differences.map(({ title, mean, low, high }, i) => {
    const y = TOP + (i + 0.5) * LINE_HEIGHT;
    return `<text x="0" y="${y + 4}" font-size="12" fill="currentColor">${
      escape(cut(title))
    }</text>` +
      `<line x1="${x(low)}" x2="${
        x(high)
      }" y1="${y}" y2="${y}" stroke="var(--mark)" stroke-width="2"/>` +
      `<circle cx="${x(mean)}" cy="${y}" r="4" fill="var(--mark)"><title>${shortNumber(mean)}, ${
        shortNumber(low)
      } to ${shortNumber(high)}</title></circle>`;
  });
  const marks = [-reach, 0, reach].map((value) =>
    `<text x="${x(value)}" y="${
      height - 4
    }" font-size="11" text-anchor="middle" fill="var(--soft)">${shortNumber(value)}</text>`
  );
  return `<figure><figcaption>${
    escape(judge)
  }</figcaption><svg viewBox="0 0 ${PLOT_WIDTH} ${height}" role="img" aria-label="Differences of ${
    escape(judge)
  }"><line x1="${x(0)}" x2="${x(0)}" y1="0" y2="${height - 16}" stroke="var(--line)"/>${
    lines.join("")
  }${marks.join("")}</svg></figure>`;
}

/** What fits beside a plot. */
function cut(title: string): string {
  return title.length > 20 ? `${title.slice(0, 19)}…` : title;
}

async function pictureRow(
  { title, pictures }: PictureRow,
  rows: readonly RowReport[],
): Promise<string> {
  const figures = await Promise.all(pictures.map(async (picture, i) => {
    const shown = smaller(picture);
    const bytes = await encodePhoto({ ...shown, text: {} }, "webp");
    const times = Math.max(1, Math.round(LEAST / Math.max(shown.width, shown.height)));
    return `<figure><img width="${times * shown.width}" height="${times * shown.height}" alt="${
      escape(`${title}, ${rows[i]!.title}`)
    }" src="data:image/webp;base64,${bytes.toBase64()}"><figcaption>${
      escape(rows[i]!.title)
    }</figcaption></figure>`;
  }));
  return `<section><h3>${escape(title)}</h3><div class="row">${figures.join("")}</div></section>`;
}

function smaller(picture: RgbImage): RgbImage {
  const { width, height } = picture;
  const scale = SHOWN / Math.max(width, height);
  if (scale >= 1) return picture;
  return resizeBytes(picture, Math.round(width * scale), Math.round(height * scale), BICUBIC);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
