import assert from "node:assert/strict";
import { Progress, type ProgressOptions } from "../../../shared/terminal/progress.ts";

/** A terminal that remembers what was written, and a clock that the test sets. */
function setUp(options: Partial<ProgressOptions> = {}, isInteractive = true) {
  const written: string[] = [];
  const clock = { ms: 1_000 };
  const terminal = {
    isInteractive,
    hasColour: false,
    columns: () => 80,
    write: (text: string) => void written.push(text),
  };
  const progress = new Progress({
    label: "Sampling",
    total: 50,
    terminal,
    now: () => clock.ms,
    ...options,
  });
  return { written, clock, progress };
}

const BAR = (cells: number) => "━".repeat(cells) + "─".repeat(30 - cells);

Deno.test("Progress redraws one line on a terminal and ends it when stopped", () => {
  const { written, clock, progress } = setUp();
  clock.ms += 1_000;
  progress.update(5);
  clock.ms += 9_000;
  progress.update(50);
  progress.stop();
  progress.stop();
  assert.deepEqual(written, [
    `\rSampling ${BAR(0)}   0/50   0%  0:00\x1b[K`,
    `\rSampling ${BAR(3)}   5/50  10%  0:01, 0:09 left\x1b[K`,
    `\rSampling ${BAR(30)}  50/50 100%  0:10\x1b[K`,
    "\n",
  ]);
});

Deno.test("Progress follows a changed pace more than the average does", () => {
  const { written, clock, progress } = setUp({ total: 10 });
  clock.ms += 10_000; // a slow first step
  progress.update(1);
  for (let done = 2; done <= 5; done++) {
    clock.ms += 1_000;
    progress.update(done);
  }
  // Pace after 10, 1, 1, 1, 1 s: 1 + 9 * 0.7^4 = 3.16 s; five steps: 15.8 s. The average says 14 s;
  assert.match(written.at(-1)!, /0:14, 0:16 left/);
  clock.ms += 1_000;
  progress.update(6);
  clock.ms += 1_000;
  progress.update(7);
  // 1 + 9 * 0.7^6 = 2.06 s; three steps: 6.2 s. The average says 16 / 7 * 3 = 6.9 s.
  assert.match(written.at(-1)!, /0:16, 0:06 left/);
  progress.stop();
});

Deno.test("Progress draws at most every 50 ms, but the last step always, and a new label with it", () => {
  const { written, clock, progress } = setUp();
  clock.ms += 30;
  progress.update(1);
  assert.equal(written.length, 1);
  clock.ms += 30;
  progress.update(2, "Decoding");
  assert.equal(written.length, 2);
  assert.match(written[1]!, /^\rDecoding /);
  progress.update(50);
  assert.equal(written.length, 3);
  progress.update(50);
  assert.equal(written.length, 3);
  progress.stop();
});

Deno.test("Progress.tick() lets a terminal's clock go on, and adds to a log only what is new", () => {
  const { written, clock, progress } = setUp();
  clock.ms += 1_000;
  progress.tick("loading photo: block 7 of 25, 1.2 GB");
  clock.ms += 1_000;
  progress.tick("Sampling");
  assert.match(written[1]!, /^\rloading photo: block 7 of 25, 1.2 GB .* 0\/50 +0% +0:01/);
  assert.equal(written[2], `\rSampling ${BAR(0)}   0/50   0%  0:02\x1b[K`);
  progress.stop();

  const log = setUp({}, false);
  log.clock.ms += 6_000;
  log.progress.tick("Sampling");
  assert.equal(log.written.length, 1);
  log.progress.tick("loading photo: block 8 of 25, 1.3 GB");
  assert.equal(log.written[1], "loading photo: block 8 of 25, 1.3 GB 0/50 0%, 0:06\n");
});

Deno.test("Progress prints plain lines every five seconds, the first and the last, in a log", () => {
  const { written, clock, progress } = setUp({}, false);
  for (let done = 1; done <= 50; done++) {
    clock.ms += 240;
    progress.update(done);
  }
  progress.update(50);
  progress.stop();
  assert.deepEqual(written, [
    "Sampling 0/50 0%, 0:00\n",
    "Sampling 21/50 42%, 0:05, 0:07 left\n",
    "Sampling 42/50 84%, 0:10, 0:02 left\n",
    "Sampling 50/50 100%, 0:12\n",
  ]);
});

Deno.test("Progress tells in a log how far an interrupted job came", () => {
  const { written, clock, progress } = setUp({}, false);
  clock.ms += 100;
  progress.update(1);
  progress.stop();
  assert.deepEqual(written, ["Sampling 0/50 0%, 0:00\n", "Sampling 1/50 2%, 0:00, 0:05 left\n"]);
});

Deno.test("Progress prints notes above the bar", () => {
  const { written, progress } = setUp();
  progress.note("Prompt was cut:\n a heart");
  progress.stop();
  progress.note("Done");
  const bar = `Sampling ${BAR(0)}   0/50   0%  0:00`;
  assert.deepEqual(written, [
    `\r${bar}\x1b[K`,
    `\r\x1b[KPrompt was cut:  a heart\n${bar}`,
    "\n",
    "Done\n",
  ]);
});

Deno.test("Progress writes nothing when silent", () => {
  for (const isInteractive of [true, false]) {
    const { written, progress } = setUp({ isSilent: true }, isInteractive);
    progress.update(50);
    progress.note("x");
    progress.stop();
    assert.deepEqual(written, []);
  }
});

Deno.test("Progress stops at the end of its scope", () => {
  const { written, progress } = setUp();
  {
    using _scoped = progress;
  }
  assert.equal(written.at(-1), "\n");
});
