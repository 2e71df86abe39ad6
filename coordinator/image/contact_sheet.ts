/**
 * Pictures in a labelled grid: one row per prompt, one column per way of drawing. As SVG, which holds the pictures; as PNG through the
 * `sharp` package.
 *
 * @module
 */

import { encodePng } from "./png.ts";
import type { RgbImage } from "./resize.ts";

export interface SheetColumn {
  readonly title: string;
  /** What stands below the title, smaller. */
  readonly note: string;
}

export interface SheetRow {
  readonly title: string;
  /** By column, the pictures that stand side by side there, of one size in the whole sheet. */
  readonly cells: readonly (readonly RgbImage[])[];
}

export interface Sheet {
  readonly columns: readonly SheetColumn[];
  readonly rows: readonly SheetRow[];
  /** Below all rows: what they have in common. */
  readonly footer: string;
}

/** Pixels between things. */
const GAP = 6, COLUMN_GAP = 14;
/** Heights of letters and of lines, and what a letter of a usual font is wide at most on average, in shares of its height. */
const FONT = 14, LINE = 18, SMALL_FONT = 12, WIDTH = 0.58, BOLD_WIDTH = 0.68;
/** Pictures are shown larger or smaller until their longer side lies between these, pixels. */
const LEAST_SIDE = 128, MOST_SIDE = 512;
/** A prompt that takes more lines is cut. */
const MOST_LINES = 4;

/** Where everything stands, in pixels. */
export interface SheetLayout {
  readonly width: number;
  readonly height: number;
  /** Of a picture as it is shown. */
  readonly picture: { readonly width: number; readonly height: number };
  /** By column, from the left. */
  readonly lefts: readonly number[];
  /** By row, where pictures begin and titles' first lines stand, from above. */
  readonly tops: readonly number[];
  readonly titles: readonly number[];
  /** Lines of text, wrapped. */
  readonly headLines: readonly (readonly string[])[];
  readonly titleLines: readonly (readonly string[])[];
  readonly footerLines: readonly string[];
}

export function sheetLayout({ columns, rows, footer }: Sheet): SheetLayout {
  const cell = rows[0]?.cells[0] ?? [];
  const picture = shownSize(cell[0] ?? { width: LEAST_SIDE, height: LEAST_SIDE });
  const cellWidth = Math.max(1, cell.length) * (picture.width + GAP) - GAP;
  const lefts = columns.map((_, c) => GAP + c * (cellWidth + COLUMN_GAP));
  const inner = columns.length * (cellWidth + COLUMN_GAP) - COLUMN_GAP;
  const wrapped = (text: string) => {
    const lines = wrapText(text, inner / (FONT * WIDTH));
    return lines.length <= MOST_LINES ? lines : [...lines.slice(0, MOST_LINES - 1), "…"];
  };
  const headLines = columns.map(({ title }) => wrapText(title, cellWidth / (FONT * BOLD_WIDTH)));
  const titleLines = rows.map(({ title }) => wrapped(title));
  const footerLines = wrapped(footer);
  let y = GAP + LINE * (Math.max(...headLines.map((lines) => lines.length)) + 1);
  const titles: number[] = [], tops: number[] = [];
  for (const lines of titleLines) {
    titles.push(y + GAP + FONT);
    tops.push(y + GAP + LINE * lines.length + GAP);
    y = tops.at(-1)! + picture.height;
  }
  return {
    ...{ picture, lefts, tops, titles, headLines, titleLines, footerLines },
    width: inner + 2 * GAP,
    height: y + 2 * GAP + LINE * footerLines.length,
  };
}

/** Small pictures grow by a whole factor, so that their pixels stay even. */
function shownSize(
  { width, height }: { readonly width: number; readonly height: number },
): { readonly width: number; readonly height: number } {
  const side = Math.max(width, height);
  const scale = side < LEAST_SIDE ? Math.ceil(LEAST_SIDE / side) : Math.min(1, MOST_SIDE / side);
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/** Breaks a text after spaces and signs, and within a word only where it is longer than a line. */
export function wrapText(text: string, lineChars: number): string[] {
  const most = Math.max(1, Math.floor(lineChars));
  const pieces = text.split(/(?<=[\s,:/_-])/).flatMap((piece) =>
    piece.match(new RegExp(`.{1,${most}}`, "gsu")) ?? []
  );
  const lines = [""];
  for (const piece of pieces) {
    const line = lines.at(-1)! + piece;
    if (line.trimEnd().length <= most) lines[lines.length - 1] = line;
    else lines.push(piece);
  }
  return lines.map((line) => line.trim());
}

export function sheetSvg(sheet: Sheet): string {
  const layout = sheetLayout(sheet);
  const { width, height, picture, lefts, tops, titles } = layout;
  const mostLines = Math.max(...layout.headLines.map((lines) => lines.length));
  const columns = sheet.columns.flatMap(({ note }, c) => {
    const lines = layout.headLines[c]!;
    // Short titles stand as near to the pictures as long ones.
    const top = GAP + LINE * (mostLines - lines.length) + FONT;
    const below = GAP + LINE * mostLines + SMALL_FONT;
    return [
      ...textLines(lefts[c]!, top, lines, 'font-weight="bold"'),
      ...textLines(lefts[c]!, below, [note], `font-size="${SMALL_FONT}" fill="#555"`),
    ];
  });
  const rows = sheet.rows.flatMap(({ cells }, r) => [
    ...textLines(GAP, titles[r]!, layout.titleLines[r]!),
    ...cells.flatMap((pictures, c) =>
      pictures.map((image, i) => {
        const x = lefts[c]! + i * (picture.width + GAP);
        return `<image x="${x}" y="${
          tops[r]
        }" width="${picture.width}" height="${picture.height}" ` +
          `image-rendering="${image.width < picture.width ? "pixelated" : "auto"}" href="${
            dataUrl(image)
          }"/>`;
      })
    ),
  ]);
  const bottom = height - GAP - LINE * layout.footerLines.length + FONT;
  const footer = textLines(
    GAP,
    bottom,
    layout.footerLines,
    `font-size="${SMALL_FONT}" fill="#555"`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="${FONT}">
<rect width="${width}" height="${height}" fill="white"/>
${[...columns, ...rows, ...footer].join("\n")}
</svg>
`;
}

function textLines(x: number, y: number, lines: readonly string[], style = ""): string[] {
  return lines.map((line, i) => {
    const escaped = line.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)
      // deno-lint-ignore no-control-regex
      .replace(/[\0-\x1f]/g, " ");
    return `<text x="${x}" y="${y + i * LINE}" ${style}>${escaped}</text>`;
  });
}

function dataUrl(image: RgbImage): string {
  return `data:image/png;base64,${encodePng({ ...image, text: {} }).toBase64()}`;
}

/** The sheet as a PNG file; its letters are of a font of this machine. */
export async function sheetPng(svg: string): Promise<Uint8Array> {
  const { default: sharp } = await import("sharp");
  return await sharp(new TextEncoder().encode(svg)).png({ palette: true, compressionLevel: 9 })
    .toBuffer();
}
