/** Coordinators of a queue as processes, and the queue's records as a test looks at them. @module */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { isOver, type JobRecord } from "../../coordinator/jobs/queue/job_record.ts";
import { JobLeases } from "../../coordinator/jobs/queue/job_lease.ts";
import { JobRecords } from "../../coordinator/jobs/queue/job_records.ts";
import { NatsCheckpoints } from "../../coordinator/jobs/queue/nats_checkpoint.ts";
import type { JobStores } from "../../coordinator/jobs/queue/take_job.ts";
import { Nats } from "../../shared/nats/connect.ts";
import { isAway } from "../../shared/nats/nats_errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { NatsServer, testWithNats } from "./nats_server.ts";
import { jsonLines, TuttiHome, type TuttiProcess } from "./run_tutti.ts";
import { PROMPT } from "./zoo.ts";

/** What a coordinator prints with `--json`. */
export interface EventLine {
  readonly event: string;
  readonly job?: string;
  readonly stepsDone?: number;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details: Readonly<Record<string, string>>;
  };
}

/** Longer than any test: what hangs is found by the test's own waits. */
const TIMEOUT_MS = 600_000;
/** Most time that a job may take on a machine that does much else. */
const JOB_MS = 240_000;

/** A connection to a server of a test. */
export async function connectTo({ url }: Pick<NatsServer, "url">): Promise<Nats> {
  return await Nats.connect((await natsOptions({ nats: url }, "test"))!);
}

/** What a coordinator of the queue opens. */
export async function openStores(nats: Nats): Promise<JobStores> {
  return {
    nats,
    records: await JobRecords.open(nats),
    leases: await JobLeases.open(nats),
    checkpoints: await NatsCheckpoints.open(nats),
  };
}

/** A test with a NATS server, running workers of the bundled experts, and a home that must be empty of processes at its end. */
export function testQueue(name: string, body: (queue: QueueHome) => Promise<void>): void {
  testWithNats(name, async () => {
    await using server = await NatsServer.start();
    const home = await TuttiHome.create();
    try {
      await home.expect(0, ["up"]);
      await using queue = await QueueHome.open(home, server);
      await body(queue);
      await queue.killAll();
      await home.expect(0, ["down"]);
      await home.assertNoProcesses();
    } finally {
      await home.killProcesses();
      await Deno.remove(home.path, { recursive: true });
    }
  });
}

export class QueueHome implements AsyncDisposable {
  readonly home: TuttiHome;
  readonly server: NatsServer;
  readonly records: JobRecords;
  readonly #nats: Nats;
  readonly #running = new Set<Coordinator>();

  private constructor(home: TuttiHome, server: NatsServer, nats: Nats, records: JobRecords) {
    this.home = home;
    this.server = server;
    this.#nats = nats;
    this.records = records;
  }

  static async open(home: TuttiHome, server: NatsServer): Promise<QueueHome> {
    const nats = await connectTo(server);
    return new QueueHome(home, server, nats, await JobRecords.open(nats));
  }

  get env(): Record<string, string> {
    return { TUTTI_NATS: this.server.url };
  }

  /** A coordinator that asks for jobs. */
  async coordinator(name: string, ...flags: readonly string[]): Promise<Coordinator> {
    const args = ["coordinator", "--out", `out-${name}`, "--name", name, "--json", ...flags];
    const options = { env: this.env, timeoutMs: TIMEOUT_MS };
    const coordinator = new Coordinator(name, this.home.start(args, options));
    this.#running.add(coordinator);
    await coordinator.process.says(/"event":"ready"/);
    return coordinator;
  }

  async submit(
    id: string,
    seed: number,
    steps: number,
    ...flags: readonly string[]
  ): Promise<void> {
    const args = ["submit", PROMPT, "--id", id, "--seed", String(seed), "--steps", String(steps)];
    await this.home.expect(0, [...args, ...flags], { env: this.env });
  }

  async record(id: string): Promise<JobRecord> {
    const stored = await this.records.get(id);
    assert.ok(stored, `there is no job ${id}`);
    return stored.record;
  }

  /** Waits until the record is as wanted. */
  async until(id: string, isWanted: (record: JobRecord) => boolean): Promise<JobRecord> {
    const end = performance.now() + JOB_MS;
    for (;;) {
      // The server may be away.
      const record = await this.record(id).catch((error) => {
        if (!isAway(error)) throw error;
      });
      if (record && isWanted(record)) return record;
      const shown = record &&
        `${record.state} after step ${record.stepsDone}, ${record.error?.message}`;
      assert.ok(performance.now() < end, `Still not so: ${isWanted}: ${id} is ${shown}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for the end of a job, which must be good. */
  async done(id: string): Promise<JobRecord> {
    const record = await this.until(id, isOver);
    assert.equal(record.state, "done", record.error?.message ?? id);
    return record;
  }

  /** SHA-256 of the picture that an undisturbed `tutti sample` draws. */
  async undisturbed(seed: number, steps: number): Promise<string> {
    const out = `undisturbed-${seed}.png`;
    const args = ["--seed", String(seed), "--steps", String(steps), "--out", out];
    await this.home.expect(0, ["sample", PROMPT, ...args], { timeoutMs: TIMEOUT_MS });
    return createHash("sha256").update(await Deno.readFile(this.home.file(out))).digest("hex");
  }

  async killAll(): Promise<void> {
    for (const coordinator of this.#running) await coordinator.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll();
    await this.#nats[Symbol.asyncDispose]();
  }
}

export class Coordinator {
  readonly name: string;
  readonly process: TuttiProcess;
  #isOver = false;

  constructor(name: string, process: TuttiProcess) {
    this.name = name;
    this.process = process;
    process.result.catch(() => {}).finally(() => this.#isOver = true);
  }

  /** With SIGKILL. @returns what it had printed */
  async kill(): Promise<EventLine[]> {
    if (!this.#isOver) this.process.kill("SIGKILL");
    return jsonLines<EventLine>((await this.process.result).stdout);
  }
}
