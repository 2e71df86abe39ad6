import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { testTutti } from "../support/run_tutti.ts";
import { zooPath } from "../support/zoo.ts";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";

interface TopLine {
  readonly address: string;
  readonly name?: string;
  readonly state?: string;
  readonly sessions?: number;
  readonly blocksRun?: number;
  readonly blocksPerSecond?: number;
  readonly computing?: number;
  readonly code?: string;
}

const isThere = (program: string) =>
  new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).outputSync()
    .success;

testTutti(
  "tutti top tells what running workers do, once or drawn in place until q",
  async (home, t) => {
    const worker = home.start(
      ["worker", "--model", zooPath("round"), "--listen", "127.0.0.1:0", "--threads", "1"],
      { timeoutMs: 120_000 },
    );
    const [, address] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+): serving/m);
    const workers = ["--workers", `${address},127.0.0.1:1`];

    await t.step("figures follow from what the worker ran between two readings", async () => {
      const remote = await connectExpert(address!);
      await using _ = { [Symbol.asyncDispose]: () => remote.close() };
      const config = await sessionConfig(remote);
      const session = await remote.openSession(config);
      const hiddenStates = latentsFor(remote.description, config);
      const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates };
      // The first one builds graphs, and may take longer than all that follows.
      await session.forward(range);
      let isOver = false;
      let ran = 25;
      const load = (async () => {
        for (; !isOver; ran += 25) await session.forward(range);
      })();
      const lines = await home.json<TopLine>(
        ["top", "--once", "--interval", "0.5", ...workers],
        { code: 3 },
      );
      isOver = true;
      await load;
      await session.close();
      const [first, second] = lines;
      assert.deepEqual([lines.length, first!.name, first!.state, first!.sessions], [
        ...[3, "round", "serving", 1],
      ]);
      assert.ok(first!.blocksRun! > 0 && first!.blocksRun! <= ran);
      assert.ok(first!.blocksPerSecond! > 0, `${first!.blocksPerSecond} blocks/s`);
      assert.ok(first!.computing! > 0 && first!.computing! <= 1, `busy: ${first!.computing}`);
      assert.deepEqual([second!.address, second!.code], ["127.0.0.1:1", "UNAVAILABLE"]);
    });

    await t.step("without a terminal it is one table", async () => {
      const { stdout } = await home.expect(3, ["top", "--interval", "0.1", ...workers]);
      assert.match(stdout, /^model +address +state .*\nround .* serving .* 0% /);
      assert.match(stdout, /unreachable\n +No worker can be reached at 127\.0\.0\.1:1 \(/);
      assert.equal(stdout.trimEnd().split("\n").length, 4);
    });

    await t.step({
      name: "on a terminal of 80 columns it is drawn in place",
      ignore: !isThere("script"),
      fn: async () => {
        const top = `stty cols 80 rows 12; ${Deno.execPath()} run -q -A ${MAIN_PROGRAM} top ` +
          `--interval 0.2 ${workers.join(" ")}; echo CODE $?`;
        // Someone who types q when there are figures.
        const program = "(until grep -aq '0%' seen; do sleep 0.1; done; printf q) | " +
          `script --quiet --flush --command '${top}' seen`;
        const { code } = await home.startProgram("sh", ["-c", program]).result;
        const seen = await Deno.readTextFile(home.file("seen"));
        assert.equal(code, 0, seen);
        const frames = seen.split("\x1b[H").slice(1);
        const last = frames.at(-1)!.split("\x1b[J")[0]!.split("\x1b[K").map((line) =>
          line.trimStart()
        );
        assert.match(
          last[0]!,
          /^tutti top {2}\d\d:\d\d:\d\d {2}2 workers {2}0\.0 blocks\/s {2}every 0\.2 s/,
        );
        assert.match(last[3]!, /^round +\S+ +serving +0\/1 +0 +0\/16 +0\.0 +0%/);
        assert.match(last[5]!, /^No worker can be reached .*…/);
        for (const line of last) assert.ok(line.length < 85, line);
        // The screen is given back.
        assert.match(seen.split("\x1b[?25h\x1b[?1049l")[1] ?? seen, /CODE 0/);
      },
    });
    worker.kill("SIGTERM");
    await worker.result;
  },
);
