/** `tutti jobs`: the jobs of the queue and how far they are. @module */

import { Command } from "commander";
import { TuttiError, UsageError } from "../../shared/errors.ts";
import { Nats } from "../../shared/nats/connect.ts";
import { addNatsOptions, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import { isJobId, JOB_ID_RULE, type JobRecord, recordToJson } from "../jobs/queue/job_record.ts";
import { pictureKind } from "../image/picture_kind.ts";
import { checkOut, imageNames, outputPaths } from "../jobs/output_paths.ts";
import { QueuedPictures } from "../jobs/queue/queued_pictures.ts";
import { JobRecords } from "../jobs/queue/job_records.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

interface JobsFlags extends NatsFlags {
  readonly cancel?: string;
  readonly fetch?: string;
  readonly json: boolean;
}

const SHORT_ID_CHARS = 8;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Of a prompt in the table. */
const PROMPT_CHARS = 40;

const EXAMPLES = `
Jobs are known for seven days after the last that happened to them.

Examples:
  tutti jobs --nats nats://127.0.0.1:4222
  tutti jobs castle-7               # all about one, with the paths of its pictures
  tutti jobs 3f2a                   # the beginning of an id does
  tutti jobs castle-7 --fetch castle.png
  tutti jobs --cancel castle-7
  tutti jobs --json`;

export function jobsCommand(): Command {
  return addNatsOptions(
    new Command("jobs")
      .summary("show the jobs of the queue, or cancel one")
      .description(
        "Lists the jobs of the queue: waiting, running (step and coordinator), done, failed.",
      )
      .argument("[job]", "tell all about this one: its id, or the beginning of it"),
    "the NATS server that has the queue",
  )
    .option(
      "--cancel <id>",
      "end this job (its id, or the beginning of it): at once if it waits, else after the block that it is at",
    )
    .option(
      "--fetch <path>",
      "get the job's pictures: a .png file, or a folder, in which nothing is replaced",
    )
    .option("--json", "print one JSON object per job", false)
    .addHelpText("after", EXAMPLES)
    .action((job: string | undefined, flags: JobsFlags) => runJobs(job, flags));
}

async function runJobs(job: string | undefined, flags: JobsFlags): Promise<void> {
  const { cancel, json } = flags;
  for (const [name, id] of [["--cancel", cancel], ["The job", job]] as const) {
    if (id === undefined || isJobId(id)) continue;
    throw new UsageError(`${name} must be a job's id, ${JOB_ID_RULE}: current value is "${id}"`);
  }
  if (cancel !== undefined && job !== undefined) {
    throw new UsageError(`"${job}" and --cancel ${cancel} contradict each other: give one of them`);
  }
  if (flags.fetch !== undefined && job === undefined) {
    throw new UsageError("--fetch needs a job: tutti jobs ID --fetch PATH");
  }
  const options = await natsOptions(flags, "tutti jobs");
  if (!options) throw new UsageError("--nats is needed: the NATS server that has the queue");
  await using nats = await Nats.connect(options);
  const records = await JobRecords.open(nats);
  const wanted = cancel ?? job;
  if (wanted !== undefined) {
    const found = await records.find(wanted);
    const record = cancel === undefined ? found : await records.cancel(found.id);
    if (flags.fetch !== undefined) {
      const paths = await fetchPictures(nats, record, flags.fetch);
      if (json) printJson({ ...recordToJson(record), fetched: paths });
      else paths.forEach((path) => printLine(path));
      return;
    }
    if (json) printJson(recordToJson(record));
    else if (cancel === undefined) printJob(record);
    else printLine(`${record.id}: ${stateText(record)}`);
    return;
  }
  const jobs = await records.list();
  if (json) {
    for (const one of jobs) printJson(recordToJson(one));
    return;
  }
  if (jobs.length === 0) {
    printLine('No jobs are known. `tutti submit "PROMPT"` makes one');
    return;
  }
  const ids = jobs.map(({ id }) => id);
  printLine(formatTable(
    ["job", "state", "ensemble", "images", "age", "took", "prompt", "first picture"],
    jobs.map((one) => [
      shortId(one.id, ids),
      stateText(one),
      one.spec.ensemble,
      String(one.spec.seeds.length),
      between(one.submittedAt, Date.now()),
      duration(one),
      shorten(oneLine(one.spec.prompt)),
      one.images[0] ? oneLine(one.images[0].path) : "-",
    ]),
  ));
}

/** @returns where they are now */
async function fetchPictures(nats: Nats, job: JobRecord, out: string): Promise<string[]> {
  const { id, images } = job;
  if (images.length === 0) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Job "${id}" has no pictures: it is ${stateText(job)}`,
      { details: { job: id } },
    );
  }
  if ((pictureKind(out) ?? "png") !== "png") {
    throw new UsageError(
      `Pictures of the queue are PNG files: --fetch must end in ".png" or be a folder: current value is "${out}"`,
    );
  }
  await checkOut(out, "image or folder");
  const paths = await outputPaths(out, imageNames(images.map(({ seed }) => BigInt(seed))));
  const pictures = new QueuedPictures(nats);
  for (const [i, image] of images.entries()) {
    await writeWholeFile(paths[i]!, await pictures.get(image));
  }
  return paths;
}

/** All that people want to know of one job. */
function printJob(job: JobRecord): void {
  const { id, spec, coordinator, error, images } = job;
  const rows = [
    ["job", id],
    ["state", stateText(job)],
    ["prompt", oneLine(spec.prompt)],
    ["ensemble", spec.ensemble],
    ["submitted", new Date(job.submittedAt).toISOString()],
    ["took", duration(job)],
    ["coordinator", coordinator === undefined ? "-" : oneLine(coordinator)],
    ...(error ? [["error", oneLine(error.message)]] : []),
    ...images.map(({ path, seed }) => ["picture", `${oneLine(path)} (seed ${seed})`]),
  ];
  for (const [name, value] of rows) printLine(`${name!.padEnd(12)} ${value}`);
}

/** From the time it was submitted to its end. */
function duration({ submittedAt, endedAt }: JobRecord): string {
  return endedAt === undefined ? "-" : between(submittedAt, endedAt);
}

/** Times of two machines, whose clocks may differ. */
function between(start: number, end: number): string {
  return end < start ? "-" : formatDuration(end - start);
}

/** Of an id that was drawn by lot as much as tells it from all others; words of people's own are told whole. */
function shortId(id: string, all: readonly string[]): string {
  if (!UUID.test(id)) return id;
  let length = SHORT_ID_CHARS;
  while (all.some((other) => other !== id && other.startsWith(id.slice(0, length)))) length++;
  return id.slice(0, length);
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
