import assert from "node:assert/strict";
import { styles } from "../../../shared/terminal/sgr.ts";
import { formatTable } from "../../../shared/terminal/table.ts";

Deno.test("formatTable() aligns text left and columns of numbers right", () => {
  const table = formatTable(["block", "models", "ms", "note"], [
    ["IN00", 3, 12.1, "1"],
    ["M00", 12, 8, 2],
    ["OUT11", 1],
  ]);
  assert.equal(
    table,
    [
      "block  models    ms  note",
      "IN00        3  12.1  1",
      "M00        12     8  2",
      "OUT11       1",
    ].join("\n"),
  );
});

Deno.test("formatTable() takes an alignment, and wide characters and colours into account", () => {
  const { green } = styles(true);
  const table = formatTable([{ title: "size", align: "right" }, "name"], [
    ["10.5 MB", "心"],
    [green("ok"), "b"],
  ]);
  assert.equal(
    table,
    "   size  name\n10.5 MB  心\n     \x1b[32mok\x1b[39m  b",
  );
});

Deno.test("formatTable() prints no title line without titles, and one without rows", () => {
  assert.equal(formatTable(["", ""], [["a", 1], ["bb", 20]]), "a    1\nbb  20");
  assert.equal(formatTable(["worker", "load"], []), "worker  load");
});

Deno.test("formatTable() keeps a row on one line whatever a cell holds", () => {
  assert.equal(formatTable(["", ""], [["a\nb\x1b[2J", "c"]]), "a b [2J  c");
});
