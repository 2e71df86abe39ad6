import assert from "node:assert/strict";
import { decodePng } from "../../../coordinator/image/png.ts";
import { sheetPng, sheetSvg } from "../../../coordinator/zoo/contact_sheet.ts";

/** A picture of one colour. */
const plain = (colour: readonly [number, number, number]) => ({
  ...{ width: 2, height: 2 },
  rgb: Uint8Array.from({ length: 12 }, (_, i) => colour[i % 3]!),
});

Deno.test("a sheet shows each picture in its row and column, at its size, and says what it shows", async () => {
  const [red, green, blue] = [plain([255, 0, 0]), plain([0, 255, 0]), plain([0, 0, 255])];
  const sheet = {
    columns: ["one", "two"],
    rows: [
      { title: "red & green", cells: [[red], [green]] },
      { title: "blue < red", cells: [[blue], [red]] },
    ],
    pictureSize: 40,
  };
  const svg = sheetSvg(sheet);
  for (const word of ["one", "two", "red &#38; green", "blue &#60; red"]) {
    assert.ok(svg.includes(`>${word}</text>`), word);
  }
  const { width, rgb } = decodePng(await sheetPng(svg));
  const places = [...svg.matchAll(/<image x="(\d+)" y="(\d+)" width="40"/g)]
    .map(([, x, y]) => [Number(x), Number(y)] as const);
  const colours = places.map(([x, y]) => {
    const middle = ((y + 20) * width + x + 20) * 3;
    return [...rgb.subarray(middle, middle + 3)];
  });
  assert.deepEqual(
    colours,
    [red, green, blue, red].map((picture) => [...picture.rgb.subarray(0, 3)]),
  );
  const [first, second, third] = places;
  assert.ok(second![0] > first![0] + 40 && second![1] === first![1]);
  assert.ok(third![0] === first![0] && third![1] > first![1] + 40);
});
