/**
 * `deno task overload [SESSIONS [IMAGES]]`: ten times as many clients as a worker of the golden expert has sessions. A line
 * for people and one of JSON.
 *
 * @module
 */

import { rm } from "node:fs/promises";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { goldenExpert } from "../support/golden_expert.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { OVERLOAD, overload } from "./overload.ts";

const [sessions = 2, images = 200] = Deno.args.map(Number);
const home = await TuttiHome.create();
const worker = home.start([
  ...["worker", "--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--threads", "1"],
  ...["--max-sessions", String(sessions)],
], { timeoutMs: 3_600_000 });
const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
const report = await overload(address, sessions, images);
const { peak, goodput, refusals, refusalMs: { p50, p95, most } } = report;
printLine(
  `${goodput.toFixed(1)} images/s under ${OVERLOAD}x load, ${peak.toFixed(1)} without ` +
    `(${(100 * goodput / peak).toFixed(0)} %); ${refusals} refusals, ` +
    `p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, slowest ${most.toFixed(1)} ms`,
);
printJson(report);
worker.kill("SIGTERM");
await worker.result;
await rm(home.path, { recursive: true });
