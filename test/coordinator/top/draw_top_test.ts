import assert from "node:assert/strict";
import { drawTop, topTable } from "../../../coordinator/top/draw_top.ts";
import { type WatchedWorker, WorkerPolls } from "../../../coordinator/top/poll_workers.ts";
import { WorkerError } from "../../../shared/errors.ts";
import { displayWidth } from "../../../shared/terminal/display_width.ts";
import type { WorkerStatus } from "../../../shared/wire/convert_status.ts";

const STATUS: WorkerStatus = {
  ...{ state: "serving", name: "photo", modelHash: "ab".repeat(32), uptimeSeconds: 100 },
  versions: { tutti: "0.1.0", deno: "2", runtime: "onnx", protocol: { min: 2, max: 2 } },
  ...{ lanes: 4, busyLanes: 3, queueDepth: 2, sessions: 1, maxSessions: 16, waitingSessions: 0 },
  ...{ arenaBytesUsed: 1_500_000, arenaBytesLeft: 4e9, residentBytes: 3e9 },
  ...{ blocksRun: 7, computeSeconds: 1, device: "cuda:1", precision: "f16" },
};

function serving(address: string, status: Partial<WorkerStatus> = {}): WatchedWorker {
  const answer = { ...STATUS, ...status };
  const rates = { blocksPerSecond: 12.34, computing: 0.756 };
  return { address, name: answer.name, last: { address, answer }, rates };
}

function lost(address: string): WatchedWorker {
  const error = new WorkerError("UNAVAILABLE", `No worker can be reached at ${address}\n(refused)`);
  return { address, name: "anime", last: { address, error }, rates: undefined };
}

const ASKED: WatchedWorker = { address: "c:1", name: undefined, last: undefined, rates: undefined };
const WORKERS = [serving("a:7070"), lost("b:7070"), ASKED];

Deno.test("topTable() has a row for each worker, and the reason below one that cannot be reached", () => {
  assert.equal(
    topTable(WORKERS),
    `\
model  address  state        lanes  queue  sessions  blocks/s  busy  memory   arena  arena left      device
photo  a:7070   serving        3/4      2      1/16      12.3   76%  3.0 GB  1.5 MB      4.0 GB  cuda:1 f16
anime  b:7070   unreachable
  No worker can be reached at b:7070 (refused)
-      c:1      asking`,
  );
});

function drawn(columns: number, rows: number, workers = WORKERS, colour = false): string[] {
  return drawTop({ workers, title: "tutti top  12:00:00  3 workers", columns, rows, colour });
}

Deno.test("drawTop() leaves out the last columns where the terminal is narrow, and cuts reasons", () => {
  assert.deepEqual(drawn(73, 24), [
    "tutti top  12:00:00  3 workers",
    "",
    "model  address  state        lanes  queue  sessions  blocks/s  busy",
    "photo  a:7070   serving        3/4      2      1/16      12.3   76%",
    "anime  b:7070   unreachable",
    "  No worker can be reached at b:7070 (refused)",
    "-      c:1      asking",
  ]);
  assert.deepEqual(drawn(36, 5), [
    "tutti top  12:00:00  3 workers",
    "",
    "model  address  state        lanes",
    "photo  a:7070   serving        3/4",
    "and 3 more lines",
  ]);
});

Deno.test("drawTop() stays within any terminal, whatever workers call themselves", () => {
  const evil = serving("d:1", { name: `\x1b[2J\n${"宽".repeat(40)}`, state: "draining" });
  for (const colour of [false, true]) {
    for (const columns of [1, 2, 3, 20, 45, 79, 80, 81, 97, 130]) {
      for (const rows of [1, 3, 24]) {
        const lines = drawn(columns, rows, [...WORKERS, evil], colour);
        assert.ok(lines.length <= rows, `${lines.length} lines on ${rows} rows`);
        for (const line of lines) {
          assert.ok(displayWidth(line) < Math.max(2, columns), `${columns} columns: ${line}`);
          // deno-lint-ignore no-control-regex
          assert.doesNotMatch(line.replaceAll(/\x1b\[\d+m/g, ""), /\p{Cc}/u);
        }
      }
    }
  }
  assert.ok(drawn(130, 24, [evil], true).join().includes("\x1b[33mdraining\x1b[39m"));
});

Deno.test("WorkerPolls: one that does not answer holds up no other, and keeps its name", async () => {
  const hangs = Promise.withResolvers<WorkerStatus>();
  let round = 0;
  const polls = new WorkerPolls(async (place) => {
    const isLate = place.address === "b:1" && round > 0;
    const answer = isLate ? await hangs.promise : { ...STATUS, uptimeSeconds: round, name: "n" };
    return { ...place, answer: { ...answer, blocksRun: 5 * round } };
  });
  const places = [{ address: "a:1" }, { address: "b:1" }];
  await polls.ask(places);
  for (round = 1; round <= 2; round++) {
    const asking = polls.ask(places);
    await polls.ask(places.slice(0, 1));
    assert.ok(asking);
  }
  const [a, b] = polls.workers(places);
  assert.equal(a!.rates?.blocksPerSecond, 5);
  assert.deepEqual([b!.name, b!.rates], ["n", undefined]);
  hangs.resolve({ ...STATUS, uptimeSeconds: 5, blocksRun: 5 });
});
