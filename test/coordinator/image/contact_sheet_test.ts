import assert from "node:assert/strict";
import {
  type Sheet,
  sheetLayout,
  sheetPng,
  sheetSvg,
  wrapText,
} from "../../../coordinator/image/contact_sheet.ts";
import { decodePng } from "../../../coordinator/image/png.ts";

/** A picture of one colour. */
const plain = (colour: readonly [number, number, number], width = 2, height = width) => ({
  ...{ width, height },
  rgb: Uint8Array.from({ length: 3 * width * height }, (_, i) => colour[i % 3]!),
});
const [RED, GREEN, BLUE] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]] as const;

/** Two columns and two rows of these cells. */
const sheetOf = (cell: Sheet["rows"][number]["cells"][number], title = "a castle"): Sheet => ({
  columns: [{ title: "one", note: "1 s a picture" }, { title: "two", note: "2 s a picture" }],
  rows: [{ title, cells: [cell, cell] }, { title: "b", cells: [cell, cell] }],
  footer: "seed 1",
});

Deno.test("a sheet shows each picture in its row and column, at its size, and says what it shows", async () => {
  const [red, green, blue] = [plain(RED), plain(GREEN), plain(BLUE)];
  const svg = sheetSvg({
    ...sheetOf([red]),
    rows: [
      { title: "red & green", cells: [[red], [green]] },
      { title: "blue < red\u0007", cells: [[blue], [red]] },
    ],
  });
  const words = [
    ...["one", "two", "1 s a picture", "2 s a picture"],
    ...["red &#38; green", "blue &#60; red", "seed 1"],
  ];
  for (const word of words) assert.match(svg, new RegExp(`>${word}\\s?</text>`), word);
  const { width, rgb } = decodePng(await sheetPng(svg));
  const places = [...svg.matchAll(/<image x="(\d+)" y="(\d+)" width="128"/g)]
    .map(([, x, y]) => [Number(x), Number(y)] as const);
  const colours = places.map(([x, y]) => {
    const middle = ((y + 64) * width + x + 64) * 3;
    return [...rgb.subarray(middle, middle + 3)];
  });
  assert.deepEqual(colours, [RED, GREEN, BLUE, RED]);
});

Deno.test("nothing on a sheet lies over anything else, or outside", () => {
  const long = "a castle in a very long prompt ".repeat(60);
  for (
    const [cell, shown] of [
      [[plain(RED, 64)], [128, 128]],
      [[plain(RED, 64), plain(RED, 64)], [128, 128]],
      [[plain(RED, 96, 64)], [192, 128]],
      [[plain(RED, 256, 512)], [256, 512]],
      [[plain(RED, 1024, 768)], [512, 384]],
    ] as const
  ) {
    const layout = sheetLayout(sheetOf(cell, long));
    const { picture, lefts, tops, titles, titleLines, width, height } = layout;
    assert.deepEqual([picture.width, picture.height], shown);
    assert.ok(lefts[1]! > lefts[0]! + cell.length * picture.width);
    assert.ok(width > lefts[1]! + cell.length * picture.width);
    assert.deepEqual([titleLines[0]!.length <= 4, titleLines[1]], [true, ["b"]]);
    // The last line of a title stands above its pictures, the first one below those before.
    assert.ok(tops[0]! > titles[0]! + 18 * (titleLines[0]!.length - 1));
    assert.ok(titles[1]! - 14 > tops[0]! + picture.height);
    assert.ok(height > tops[1]! + picture.height + 18);
  }
});

Deno.test("wrapText() breaks after spaces and signs, and in a word that is longer than a line", () => {
  assert.deepEqual(wrapText("a castle at dawn", 9), ["a castle", "at dawn"]);
  assert.deepEqual(wrapText("weights:photo=0.7,anime=0.3", 16), [
    ...["weights:", "photo=0.7,", "anime=0.3"],
  ]);
  assert.deepEqual(wrapText("x".repeat(7), 3), ["xxx", "xxx", "x"]);
  assert.deepEqual(wrapText("", 5), [""]);
});
