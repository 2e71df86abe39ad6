/**
 * Small pictures in a labelled grid: one row per caption, one column per way of drawing. As SVG, which holds the pictures; as PNG
 * through the `sharp` package.
 *
 * @module
 */

import { encodePng } from "../image/png.ts";
import type { RgbImage } from "../image/resize.ts";

export interface SheetRow {
  readonly title: string;
  /** By column, the pictures that stand side by side there. */
  readonly cells: readonly (readonly RgbImage[])[];
}

export interface Sheet {
  readonly columns: readonly string[];
  readonly rows: readonly SheetRow[];
  /** Height and width of a picture on the sheet, in pixels. */
  readonly pictureSize: number;
}

const GAP = 6, TITLE = 22, COLUMN_GAP = 14;

export function sheetSvg({ columns, rows, pictureSize }: Sheet): string {
  const perCell = rows[0]?.cells[0]?.length ?? 1;
  const cellWidth = perCell * (pictureSize + GAP) - GAP;
  const left = (column: number) => GAP + column * (cellWidth + COLUMN_GAP);
  const top = (row: number) => 2 * TITLE + row * (TITLE + pictureSize + GAP);
  const [width, height] = [left(columns.length) - COLUMN_GAP + GAP, top(rows.length) - TITLE];
  const parts = [
    ...columns.map((name, c) => text(left(c), TITLE - 6, name, "bold")),
    ...rows.flatMap(({ title, cells }, r) => [
      text(GAP, top(r) - 6, title),
      ...cells.flatMap((pictures, c) =>
        pictures.map((picture, i) =>
          `<image x="${left(c) + i * (pictureSize + GAP)}" y="${top(r)}" width="${pictureSize}" ` +
          `height="${pictureSize}" image-rendering="pixelated" href="${dataUrl(picture)}"/>`
        )
      ),
    ]),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="14">
<rect width="${width}" height="${height}" fill="white"/>
${parts.join("\n")}
</svg>
`;
}

function text(x: number, y: number, value: string, weight = "normal"): string {
  const escaped = value.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text x="${x}" y="${y}" font-weight="${weight}">${escaped}</text>`;
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
