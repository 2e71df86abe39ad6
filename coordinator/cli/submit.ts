/** `tutti submit`: puts a job into the queue. @module */

import { Command, Option } from "commander";
import { TuttiError, UsageError } from "../../shared/errors.ts";
import { Nats } from "../../shared/nats/connect.ts";
import { addNatsOptions, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { type EnsembleFile, loadEnsembleFile, NAME } from "../cluster/ensemble_file.ts";
import { userDefaults } from "../cluster/user_defaults.ts";
import { jobSpecFromJson, jobSpecToJson, newJob } from "../jobs/job_spec.ts";
import { JobQueue, type QueuedJob } from "../jobs/queue/job_queue.ts";
import { isJobId, JOB_ID_RULE, type JobRecord, recordToJson } from "../jobs/queue/job_record.ts";
import { JobRecords } from "../jobs/queue/job_records.ts";
import { followJob, submitJob } from "../jobs/queue/submit_job.ts";
import { methodFiles } from "../sampling/methods/methods.ts";
import { refuseMaskOfJob } from "../sampling/methods/regions/mask.ts";
import { onInterrupt } from "./interrupt.ts";
import { addJobOptions, givenSettings, type JobFlags, seedsFrom } from "./job_options.ts";
import { readWishes, refusalIn, wantedPicture } from "./picture_jobs.ts";

interface SubmitFlags extends JobFlags, NatsFlags {
  readonly prompts?: string;
  readonly ensemble: string;
  readonly id?: string;
  readonly follow: boolean;
  /** The old name of `follow`. */
  readonly wait: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
A coordinator (\`tutti coordinator\`) that serves the ensemble draws it; \`tutti jobs\` tells how far it is.

Examples:
  tutti submit "a green heart above a yellow square" --nats nats://127.0.0.1:4222 --follow
  tutti submit "a castle at dawn" --ensemble castles --steps 30 --seed 7 --batch 4
  tutti submit "a castle at dawn" --ensemble castles.toml --follow
  tutti submit "a castle at dawn" --ensemble castles --seed 7 --id castle-7   # again: still one job
  tutti submit --prompts prompts.txt --ensemble castles --id castles          # jobs castles-1, castles-2, ...`;

export function submitCommand(): Command {
  const command = addNatsOptions(
    new Command("submit")
      .summary("put an image into the queue, for a coordinator to draw")
      .description(
        "Puts a job into the queue, or one for each line of --prompts, and prints its id.",
      )
      .argument("[prompt]", "what to draw; needed unless --prompts has it"),
    "the NATS server that has the queue",
  )
    .option(
      "--ensemble <name>",
      "the ensemble that is to draw: its name, or its file, whose defaults then hold",
      "shapes",
    );
  return addJobOptions(command)
    .option(
      "--prompts <file>",
      'a job for every line of a file: a prompt, or {"prompt": ..., "seed": ...} with settings of its own',
    )
    .option(
      "--id <id>",
      `the job's id: what is submitted again under the same one is one job; ${JOB_ID_RULE} (default: a random one); with --prompts followed by -1, -2, ...`,
    )
    .option("--follow", "wait for the images; the exit code is the job's", false)
    .addOption(new Option("--wait").default(false).hideHelp())
    .option("--json", "print one JSON object a job instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: SubmitFlags) => runSubmit(prompt, flags));
}

async function runSubmit(prompt: string | undefined, flags: SubmitFlags): Promise<void> {
  const { json } = flags;
  const isFollowed = flags.follow || flags.wait;
  const chosen = await chosenEnsemble(flags.ensemble);
  const { name: ensemble } = chosen;
  const jobs = await jobsOf(prompt, flags, chosen);
  const options = await natsOptions(flags, "tutti submit");
  if (!options) throw new UsageError("--nats is needed: the NATS server that has the queue");
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  await using nats = await Nats.connect({ ...options, signal });
  const [queue, records] = await Promise.all([JobQueue.open(nats), JobRecords.open(nats)]);
  const terminal = stderrTerminal();
  for (const [index, job] of jobs.entries()) {
    const { isRepeated } = await submitJob({ queue, records }, job);
    if (index === 0 && !await queue.hasConsumer(ensemble)) {
      terminal.write(
        `warning: no coordinator has ever served the ensemble "${ensemble}" here: the job waits for one\n`,
      );
    }
    const { id, spec: { seeds } } = job;
    if (isFollowed) continue;
    if (json) printJson({ id, isRepeated, seeds: seeds.map(String) });
    else printLine(isRepeated ? `${id} (submitted before)` : id);
  }
  if (!isFollowed) return;
  for (const { id, spec: { steps } } of jobs) {
    if (!json) terminal.write(`Job ${id}\n`);
    const record = await follow(records, id, { steps, isSilent: json, signal });
    if (json) printJson(recordToJson(record));
    else for (const { path, seed } of record.images) printLine(`${path} (seed ${seed})`);
  }
}

/** @throws {UsageError} if a job is one that a coordinator would refuse */
async function jobsOf(
  prompt: string | undefined,
  flags: SubmitFlags,
  { name: ensemble, defaults }: ChosenEnsemble,
): Promise<QueuedJob[]> {
  const { prompts } = flags;
  const wishes = await readWishes(prompt === undefined ? [] : [prompt], prompts);
  const user = await userDefaults();
  return wishes.map((wish, index) => {
    const { prompt, where, chosen: { settings } } = wantedPicture(wish, {
      given: givenSettings(flags),
      ...{ defaults, user },
    });
    const [file] = settings.method === undefined ? [] : methodFiles(settings.method);
    if (file !== undefined) throw refusalIn(where, refuseMaskOfJob(file));
    const number = prompts === undefined ? "" : `-${index + 1}`;
    const id = flags.id === undefined ? crypto.randomUUID() : `${flags.id}${number}`;
    if (!isJobId(id)) throw new UsageError(`--id must be ${JOB_ID_RULE}: current value is "${id}"`);
    const seeds = seedsFrom(settings.seed, settings.batch);
    const spec = newJob({ prompt, seeds, ensemble }, settings);
    // What a coordinator would refuse is refused here, and no file is to blame but that of the prompts.
    try {
      jobSpecFromJson(jobSpecToJson(spec), "The job");
    } catch (cause) {
      throw refusalIn(where, new UsageError(TuttiError.from(cause).message, { cause }));
    }
    return { id, spec };
  });
}

type ChosenEnsemble = Pick<EnsembleFile, "name" | "defaults">;

/** A file is read where a name cannot be meant: a coordinator would never hear of that. */
async function chosenEnsemble(ensemble: string): Promise<ChosenEnsemble> {
  return NAME.test(ensemble) && !ensemble.endsWith(".toml")
    ? { name: ensemble }
    : await loadEnsembleFile(ensemble);
}

async function follow(
  records: JobRecords,
  id: string,
  { steps, isSilent, signal }: { steps: number; isSilent: boolean; signal: AbortSignal },
): Promise<JobRecord> {
  using progress = new Progress({
    label: "Waiting",
    total: steps,
    terminal: stderrTerminal(),
    now: () => performance.now(),
    isSilent,
  });
  return await followJob(records, id, {
    signal,
    onLook: ({ state, stepsDone, coordinator }) =>
      progress.update(
        stepsDone,
        state === "queued" ? "Waiting" : `Sampling on ${coordinator}`,
      ),
  });
}
