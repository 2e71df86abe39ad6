import assert from "node:assert/strict";
import { printable } from "../../../shared/terminal/stdout.ts";

Deno.test("names that speak to the terminal do not reach it, colours and lines do", () => {
  const clear = "\x1b[2J", title = "\x1b]0;owned\x07", c1 = "\x9b2J";
  assert.equal(printable(`a${clear}b${title}c${c1}\rd`), "a�[2Jb�]0;owned�c�2J�d");
  const ours = "\x1b[31mred\x1b[0m\tcell\nline";
  assert.equal(printable(ours), ours);
  assert.equal(printable("\x1b[31"), "�[31");
});
