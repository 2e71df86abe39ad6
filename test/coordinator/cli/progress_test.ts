import assert from "node:assert/strict";
import { MAIN_PROGRAM } from "../../../shared/project_files.ts";
import { testTutti } from "../../support/run_tutti.ts";

const ERASE_REST = "\x1b[K";

/** `script` gives a program a terminal of its own. */
async function hasScript(): Promise<boolean> {
  try {
    const { stdout } = await new Deno.Command("script", { args: ["--version"] }).output();
    return new TextDecoder().decode(stdout).includes("util-linux");
  } catch {
    return false;
  }
}

const script = await hasScript();

Deno.test({
  name: "tutti sample needs script (util-linux) on the PATH to be seen on a terminal",
  ignore: script,
  fn() {},
});
if (script) {
  testTutti(
    "tutti sample redraws a bar with the time that is left on a terminal, and prints lines elsewhere",
    async (home) => {
      await home.expect(0, ["up"]);
      const sample = ["sample", "x", "--steps", "8", "--size", "16", "--seed", "1"];
      const command = [Deno.execPath(), "run", "-q", "-A", MAIN_PROGRAM, ...sample]
        .map((part) => `'${part}'`).join(" ");
      const args = ["-qec", `stty cols 70; ${command}`, "/dev/null"];
      const onTerminal = await home.startProgram("script", args, { env: { TERM: "xterm" } }).result;
      assert.equal(onTerminal.code, 0, onTerminal.stdout);
      const line = onTerminal.stdout.split("\n").find((text) => text.includes("8/8"))!;
      // What follows a bar on its line is erased: the code for that stands for the end of a bar.
      const bars = line.split("\r").filter((bar) => bar !== "").map((bar) => {
        assert.ok(bar.endsWith(ERASE_REST), bar);
        return bar.slice(0, -ERASE_REST.length);
      });
      assert.ok(bars.length > 3, line);
      const [loading, sampling] = [true, false].map((is) =>
        bars.filter((bar) => bar.startsWith("loading") === is)
      );
      for (const bar of loading!) assert.match(bar, /^loading (round|square): block .* +0\/8 +0%/);
      for (const bar of sampling!) {
        assert.match(bar, /^Sampling [━─]{8,} +\d\/8 +\d+% +\d:\d\d(, \d:\d\d left)?$/);
      }
      assert.match(sampling!.at(-2)!, /, \d:\d\d left$/);
      assert.match(bars.at(-1)!, /━ +8\/8 +100% +\d:\d\d$/);
      // A bar that wraps cannot be drawn over.
      for (const bar of bars) assert.ok(bar.length < 70, bar);

      const { stderr, stdout } = await home.expect(0, sample);
      assert.doesNotMatch(stderr, /[\r━]/);
      assert.ok(!stderr.includes(ERASE_REST));
      assert.match(stderr, /^Sampling 0\/8 0%, 0:00$/m);
      assert.match(stderr, /^Sampling 8\/8 100%, \d:\d\d$/m);
      assert.match(stderr, /^Sampled in .*, all in .*$/m);
      assert.equal(stdout, "out/tutti-1-2.png (seed 1)\n");
      await home.expect(0, ["down"]);
    },
  );
}

testTutti("a run whose lines cannot be written goes on to its picture", async (home) => {
  const sample = ["sample", "x", "--steps", "2", "--size", "16", "--seed", "1"];
  const command = [Deno.execPath(), "run", "-q", "-A", MAIN_PROGRAM, ...sample]
    .map((part) => `'${part}'`).join(" ");
  // As on a full disk every write to that device fails.
  const run = await home.startProgram("sh", ["-c", `${command} 2>/dev/full`]).result;
  assert.deepEqual([run.code, run.stdout], [0, "out/tutti-1.png (seed 1)\n"]);
});
