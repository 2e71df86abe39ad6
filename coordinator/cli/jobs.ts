/** `tutti jobs`: the jobs of the queue and how far they are. @module */

import { Command } from "commander";
import { UsageError } from "../../shared/errors.ts";
import { Nats } from "../../shared/nats/connect.ts";
import { addNatsOptions, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import { isJobId, JOB_ID_RULE, type JobRecord, recordToJson } from "../jobs/queue/job_record.ts";
import { JobRecords } from "../jobs/queue/job_records.ts";

interface JobsFlags extends NatsFlags {
  readonly cancel?: string;
  readonly json: boolean;
}

/** Of a prompt in the table. */
const PROMPT_CHARS = 40;

const EXAMPLES = `
Jobs are known for seven days after the last that happened to them.

Examples:
  tutti jobs --nats nats://127.0.0.1:4222
  tutti jobs --cancel castle-7
  tutti jobs --json`;

export function jobsCommand(): Command {
  return addNatsOptions(
    new Command("jobs")
      .summary("show the jobs of the queue, or cancel one")
      .description(
        "Lists the jobs of the queue: waiting, running (step and coordinator), done, failed.",
      ),
    "the NATS server that has the queue",
  )
    .option(
      "--cancel <id>",
      "end this job: at once if it waits, else after the block that it is at",
    )
    .option("--json", "print one JSON object per job", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: JobsFlags) => runJobs(flags));
}

async function runJobs(flags: JobsFlags): Promise<void> {
  const { cancel, json } = flags;
  if (cancel !== undefined && !isJobId(cancel)) {
    throw new UsageError(
      `--cancel must be a job's id, ${JOB_ID_RULE}: current value is "${cancel}"`,
    );
  }
  const options = await natsOptions(flags, "tutti jobs");
  if (!options) throw new UsageError("--nats is needed: the NATS server that has the queue");
  await using nats = await Nats.connect(options);
  const records = await JobRecords.open(nats);
  if (cancel !== undefined) {
    const record = await records.cancel(cancel);
    if (json) printJson(recordToJson(record));
    else printLine(`${record.id}: ${stateText(record)}`);
    return;
  }
  const jobs = await records.list();
  if (json) {
    for (const job of jobs) printJson(recordToJson(job));
    return;
  }
  if (jobs.length === 0) {
    printLine('No jobs are known. `tutti submit "PROMPT"` makes one');
    return;
  }
  printLine(formatTable(
    ["job", "state", "ensemble", "images", "age", "prompt"],
    jobs.map((job) => [
      job.id,
      stateText(job),
      job.spec.ensemble,
      String(job.spec.seeds.length),
      formatDuration(Date.now() - job.submittedAt),
      shorten(oneLine(job.spec.prompt)),
    ]),
  ));
}

function stateText(
  { state, stepsDone, spec, coordinator, error, isCancelWanted }: JobRecord,
): string {
  switch (state) {
    case "queued":
      return stepsDone === 0 ? "queued" : `queued after step ${stepsDone} of ${spec.steps}`;
    case "running": {
      const ending = isCancelWanted ? ", to be cancelled" : "";
      return `running: step ${stepsDone} of ${spec.steps} on ${coordinator}${ending}`;
    }
    case "failed":
      return `failed: ${shorten(oneLine(error?.message ?? ""))}`;
    case "done":
    case "cancelled":
      return state;
  }
}

function shorten(text: string): string {
  return text.length > PROMPT_CHARS ? `${text.slice(0, PROMPT_CHARS - 1)}\u2026` : text;
}
