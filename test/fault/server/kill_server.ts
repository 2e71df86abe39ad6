/**
 * `deno task fault:server [--kills N] [--seed N]`: `tutti serve` is killed at random moments, while it starts, too, with jobs that
 * wait and one that is drawn. At the end each job that was given must have been drawn once, to the bits of `tutti sample`.
 * Exit code 1 if something that must hold did not; a line for people and one of JSON.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { Command } from "commander";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { Progress } from "../../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../../shared/terminal/terminal.ts";
import { wholeNumber } from "../../../shared/terminal/whole_number.ts";
import { TuttiHome } from "../../support/run_tutti.ts";
import { PROMPT } from "../../support/zoo.ts";
import { GivenJobs } from "./given_jobs.ts";

const SEEDS = [1, 2, 3, 4, 5, 6], STEPS = 12;
/** Moments are drawn from so many times as long as a start takes. */
const LIFE = 3;

async function run({ kills, seed }: { readonly kills: number; readonly seed: number }) {
  const home = await TuttiHome.create();
  try {
    const random = new Mt19937(seed);
    await home.expect(0, ["up"]);
    const jobs = new GivenJobs({ prompt: PROMPT, steps: STEPS }, await picturesOf(home));
    using progress = new Progress({
      ...{ label: "kills", total: kills, terminal: stderrTerminal() },
      now: () => performance.now(),
    });
    const startMs = await startTime(home);
    const states = { starting: 0, idle: 0, drawing: 0 };
    for (let kill = 0; kill < kills; kill++) {
      const server = startServer(home);
      const life = new AbortController();
      const giving = jobs.keepGiving(server.url, life.signal);
      await new Promise((resolve) =>
        setTimeout(resolve, startMs * LIFE * random.random32() / 2 ** 32)
      );
      states[jobs.isReached ? jobs.isDrawing ? "drawing" : "idle" : "starting"]++;
      server.process.kill("SIGKILL");
      life.abort();
      await Promise.all([server.process.result, giving]);
      progress.update(kill + 1);
    }
    const last = startServer(home);
    const found = await jobs.finish(await last.url);
    last.process.kill("SIGTERM");
    await last.process.result;
    await home.expect(0, ["down"]);
    const { given, problems } = found;
    printLine(
      `${kills} kills (${states.starting} while it started, ${states.drawing} while it drew, ` +
        `${states.idle} else), ${given} jobs given: ${problems.length} problems`,
    );
    for (const problem of problems) printLine(problem);
    printJson({ kills, seed, ...states, given, problems });
    if (problems.length > 0) Deno.exitCode = 1;
  } finally {
    await home.killProcesses();
    await rm(home.path, { recursive: true });
  }
}

/** What each seed's picture must be: SHA-256 of the file that `tutti sample` writes. */
async function picturesOf(home: TuttiHome): Promise<ReadonlyMap<number, string>> {
  const hashes = new Map<number, string>();
  for (const seed of SEEDS) {
    const out = `${seed}.png`;
    const flags = ["--seed", String(seed), "--steps", String(STEPS), "--out", out];
    await home.expect(0, ["sample", PROMPT, ...flags]);
    const bytes = await Deno.readFile(home.file(out));
    hashes.set(seed, createHash("sha256").update(bytes).digest("hex"));
  }
  return hashes;
}

function startServer(home: TuttiHome) {
  const process = home.start(["serve", "--listen", "127.0.0.1:0", "--json"]);
  const url = process.says(/^\{"version":1,"event":"ready".*\}$/m)
    .then(([line]) => (JSON.parse(line) as { url: string }).url);
  // One that is killed before it is ready never says so.
  url.catch(() => {});
  return { process, url };
}

async function startTime(home: TuttiHome): Promise<number> {
  const start = performance.now();
  const { process, url } = startServer(home);
  await url;
  process.kill("SIGTERM");
  await process.result;
  return performance.now() - start;
}

await new Command("fault:server")
  .option("--kills <n>", "how often the server is killed", wholeNumber("--kills"), 30)
  .option("--seed <n>", "of the moments", wholeNumber("--seed", 0), 1)
  .action(run)
  .parseAsync();
