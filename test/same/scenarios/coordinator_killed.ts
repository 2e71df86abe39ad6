/** A coordinator of the queue is killed in the middle of a job, and another one goes on. @module */

import assert from "node:assert/strict";
import { LONG_LIVED_MS, type TuttiHome } from "../../support/run_tutti.ts";
import { provideNatsServer } from "../../support/nats_program.ts";
import { PROMPT } from "../../support/zoo.ts";
import { readPixels } from "../outcome.ts";
import type { Scenario } from "../scenario.ts";
import { ddimFlags } from "./ddim_flags.ts";
import { until } from "../until.ts";

const JOB = "picture";
/** Enough for the job to be in the middle when its coordinator is killed. */
const STEPS = 100;
/** Steps that are done then, at least. */
const STEPS_BEFORE = 2;

type Environment = Readonly<Record<string, string>>;

export const COORDINATOR_KILLED: Scenario = {
  name: "coordinator-killed",
  what: "the queue's coordinator is killed in the middle of a job",
  obstacle: async ({ say }) => {
    const program = await provideNatsServer(say);
    return "reason" in program ? program.reason : undefined;
  },
  play: async ({ home, signal }) => {
    // It looks for the program when it is loaded, and that may have been got just now.
    const { NatsServer } = await import("../../support/nats_server.ts");
    await using server = await NatsServer.start();
    const env = { TUTTI_NATS: server.url };
    await home.expect(0, ["up"], { timeoutMs: LONG_LIVED_MS });

    const first = startCoordinator(home, env);
    await first.says(/"event":"ready"/);
    const job = [...await ddimFlags(home), "--id", JOB, "--seed", "7", "--steps", String(STEPS)];
    await home.expect(0, ["submit", PROMPT, ...job], { env });
    await until(async () => await stepsDoneOf(home, env) >= STEPS_BEFORE, {
      signal,
      within: first,
    });
    first.kill("SIGKILL");
    const { stdout } = await first.result;
    assert.ok(!stdout.includes('"event":"done"'), "the job was done before it could be killed");

    const second = startCoordinator(home, env);
    const [, stepsDone] = await second.says(/"event":"started".*"stepsDone":(\d+)/);
    assert.ok(Number(stepsDone) >= STEPS_BEFORE, `it began anew at step ${stepsDone}`);
    const [, event] = await second.says(/"event":"(done|failed|lost|returned)","job"/);
    assert.equal(event, "done");
    return { pixels: await readPixels([home.file("out", `${JOB}.png`)]) };
  },
};

function startCoordinator(home: TuttiHome, env: Environment) {
  const args = ["coordinator", "--out", "out", "--json"];
  return home.start(args, { env, timeoutMs: LONG_LIVED_MS });
}

async function stepsDoneOf(home: TuttiHome, env: Environment): Promise<number> {
  const [job] = await home.json<{ readonly stepsDone: number }>(["jobs"], { env });
  return job!.stepsDone;
}
