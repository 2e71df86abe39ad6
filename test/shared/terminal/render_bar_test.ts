import assert from "node:assert/strict";
import { displayWidth } from "../../../shared/terminal/display_width.ts";
import { renderBar, renderLine } from "../../../shared/terminal/render_bar.ts";

const STATE = { done: 23, total: 50, elapsedMs: 12_000, label: "Sampling", columns: 80 };

Deno.test("renderBar() shows label, bar, count, share, elapsed time and time left", () => {
  assert.equal(
    renderBar(STATE),
    "Sampling ━━━━━━━━━━━━━─────────────────  23/50  46%  0:12, 0:14 left",
  );
  assert.equal(
    renderBar({ ...STATE, done: 3, remainingMs: 61_000 }),
    "Sampling ━─────────────────────────────   3/50   6%  0:12, 1:01 left",
  );
});

Deno.test("renderBar() shows no time left before the first step and after the last", () => {
  assert.equal(
    renderBar({ ...STATE, done: 0, elapsedMs: 0, columns: 41 }),
    "Sampling ─────────────   0/50   0%  0:00",
  );
  assert.equal(
    renderBar({ ...STATE, done: 50, columns: 41 }),
    "Sampling ━━━━━━━━━━━━━  50/50 100%  0:12",
  );
});

Deno.test("renderBar() says 100 % only when all is done, and never more", () => {
  assert.match(renderBar({ ...STATE, done: 999, total: 1000 }), / 99%/);
  assert.match(renderBar({ ...STATE, done: 60 }), /━{30} {2}60\/50 100%/);
  assert.match(renderBar({ ...STATE, done: 0, total: 0 }), /━{30} {2}0\/0 100%/);
});

Deno.test("renderBar() gives up the bar, then the times, then the label as room shrinks", () => {
  const at = (columns: number) => renderBar({ ...STATE, columns });
  assert.equal(at(47), "Sampling ━━━─────  23/50  46%  0:12, 0:14 left");
  assert.equal(at(46), "Sampling  23/50  46%  0:12, 0:14 left");
  assert.equal(at(38), at(46));
  assert.equal(at(37), "Sampling  23/50  46%");
  assert.equal(at(20), "23/50  46%");
  assert.equal(at(6), "23/5…");
  assert.equal(at(0), "");
});

Deno.test("renderBar() never fills the last column, whatever the label", () => {
  for (const label of ["", "Sampling", "心".repeat(50), "a\nb".repeat(90), "💚 round"]) {
    for (let columns = 1; columns < 130; columns++) {
      const bar = renderBar({ ...STATE, label, columns });
      assert.ok(displayWidth(bar) < columns, `${columns}: ${bar}`);
      assert.ok(!bar.includes("\n"));
    }
  }
});

Deno.test("renderBar() colours only when asked to", () => {
  assert.ok(!renderBar(STATE).includes("\x1b"));
  assert.match(
    renderBar({ ...STATE, colour: true }),
    // deno-lint-ignore no-control-regex
    /^Sampling \x1b\[32m━{13}\x1b\[39m\x1b\[2m─{17}\x1b\[22m {2}23/,
  );
});

Deno.test("renderLine() shows the same figures without a bar", () => {
  assert.equal(renderLine(STATE), "Sampling 23/50 46%, 0:12, 0:14 left");
  assert.equal(renderLine({ ...STATE, done: 5, label: "a\nb" }), "a b 5/50 10%, 0:12, 1:48 left");
  assert.equal(renderLine({ ...STATE, done: 50 }), "Sampling 50/50 100%, 0:12");
});
