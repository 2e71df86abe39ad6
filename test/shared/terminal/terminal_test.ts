import assert from "node:assert/strict";
import { resolve } from "node:path";

const MODULE = resolve(import.meta.dirname!, "../../../shared/terminal/terminal.ts");

Deno.test("stderrTerminal() of a process in a pipe is plain, and writes to standard error only", async () => {
  const code = `import { stderrTerminal } from "file://${MODULE}";
    const terminal = stderrTerminal();
    const { isInteractive, hasColour } = terminal;
    terminal.write("bar ━");
    await Deno.stdout.write(new TextEncoder().encode(
      JSON.stringify({ isInteractive, hasColour, columns: terminal.columns() })));`;
  const { stdout, stderr, code: exitCode } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", code],
    stdin: "null",
    env: { TERM: "xterm" },
  }).output();
  const decoder = new TextDecoder();
  assert.equal(decoder.decode(stderr), "bar ━");
  assert.equal(exitCode, 0);
  assert.deepEqual(JSON.parse(decoder.decode(stdout)), {
    isInteractive: false,
    hasColour: false,
    columns: 80,
  });
});
