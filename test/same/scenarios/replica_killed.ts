/** A worker is killed after the second step, and another worker of the same expert goes on. @module */

import assert from "node:assert/strict";
import { LONG_LIVED_MS, type TuttiHome, type TuttiProcess } from "../../support/run_tutti.ts";
import { zooPath } from "../../support/zoo.ts";
import type { Scenario } from "../scenario.ts";
import { ddimFlags } from "./ddim_flags.ts";
import { until } from "../until.ts";
import { readPicture, startPicture } from "./one_picture.ts";

/** The bundled experts, the first of them twice. */
const EXPERTS = ["round", "round", "square", "pointed"];
const STEPS = 12;
/** Steps that are done when the worker is killed. */
const STEPS_BEFORE = 2;

interface RunningWorker {
  readonly process: TuttiProcess;
  readonly address: string;
  /** HOST:PORT of its page `/status`. */
  readonly http: string;
}

export const REPLICA_KILLED: Scenario = {
  name: "replica-killed",
  what: `a worker with a spare is killed after step ${STEPS_BEFORE}`,
  play: async ({ home, signal }) => {
    const workers = await Promise.all(EXPERTS.map((expert) => startWorker(home, expert)));
    const [round, spare, ...others] = workers as [RunningWorker, RunningWorker];
    const places = [`${round.address}+${spare.address}`, ...addressesOf(others)].join();
    const parts = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const flags = [...await ddimFlags(home), "--steps", String(STEPS), "--seed", "7"];
    const run = startPicture(home, ["--workers", places, ...parts, ...flags]);
    await until(async () => {
      for (const worker of [round, spare]) {
        if (await stepIndexOf(worker) < STEPS_BEFORE) continue;
        worker.process.kill("SIGKILL");
        return true;
      }
      return false;
    }, { signal, within: run });
    const { code, stderr } = await run.result;
    assert.equal(code, 0, stderr);
    return await readPicture(home);
  },
};

function addressesOf(workers: readonly RunningWorker[]): string[] {
  return workers.map(({ address }) => address);
}

async function startWorker(home: TuttiHome, expert: string): Promise<RunningWorker> {
  const places = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
  // Two workers of one expert give the same bits if they have as many threads.
  const args = ["worker", "--model", zooPath(expert), ...places, "--threads", "1", "--json"];
  const process = home.start(args, { timeoutMs: LONG_LIVED_MS });
  const [line] = await process.says(/^\{.*"event":"ready".*\}$/m);
  const { address, http } = JSON.parse(line) as { address: string; http: string };
  return { process, address, http };
}

/** The step that a worker's session is at; -1 without a session. */
async function stepIndexOf({ http }: RunningWorker): Promise<number> {
  const response = await fetch(`http://${http}/status`);
  const { sessionList } = await response.json() as {
    readonly sessionList: readonly { readonly stepIndex: number }[];
  };
  return Math.max(-1, ...sessionList.map(({ stepIndex }) => stepIndex));
}
