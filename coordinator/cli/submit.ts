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
import { jobSpecFromJson, jobSpecToJson, newJob } from "../jobs/job_spec.ts";
import { JobQueue } from "../jobs/queue/job_queue.ts";
import { isJobId, JOB_ID_RULE, type JobRecord, recordToJson } from "../jobs/queue/job_record.ts";
import { JobRecords } from "../jobs/queue/job_records.ts";
import { followJob, submitJob } from "../jobs/queue/submit_job.ts";
import { methodFiles } from "../sampling/methods/methods.ts";
import { refuseMaskOfJob } from "../sampling/methods/regions/mask.ts";
import { chooseSettings } from "../settings/choose_settings.ts";
import { SETTINGS } from "../settings/settings.ts";
import { onInterrupt } from "./interrupt.ts";
import { addJobOptions, givenSettings, type JobFlags, seedsFrom } from "./job_options.ts";

interface SubmitFlags extends JobFlags, NatsFlags {
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
  tutti submit "a castle at dawn" --ensemble castles --seed 7 --id castle-7   # again: still one job`;

export function submitCommand(): Command {
  const command = addNatsOptions(
    new Command("submit")
      .summary("put an image into the queue, for a coordinator to draw")
      .description("Puts a job into the queue and prints its id.")
      .argument("<prompt>", "what to draw"),
    "the NATS server that has the queue",
  )
    .option(
      "--ensemble <name>",
      "the ensemble that is to draw: its name, or its file, whose defaults then hold",
      "shapes",
    );
  return addJobOptions(command)
    .option(
      "--id <id>",
      `the job's id: what is submitted again under the same one is one job; ${JOB_ID_RULE} (default: a random one)`,
    )
    .option("--follow", "wait for the images; the exit code is the job's", false)
    .addOption(new Option("--wait").default(false).hideHelp())
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompt: string, flags: SubmitFlags) => runSubmit(prompt, flags));
}

async function runSubmit(prompt: string, flags: SubmitFlags): Promise<void> {
  const { id = crypto.randomUUID(), json } = flags;
  if (!isJobId(id)) throw new UsageError(`--id must be ${JOB_ID_RULE}: current value is "${id}"`);
  const { name: ensemble, defaults } = await chosenEnsemble(flags.ensemble);
  const { settings } = chooseSettings(SETTINGS, { given: givenSettings(flags), defaults });
  const seeds = seedsFrom(settings.seed, settings.batch);
  const spec = newJob({ prompt, seeds, ensemble }, settings);
  // What a coordinator would refuse is refused here, and no file is to blame.
  try {
    jobSpecFromJson(jobSpecToJson(spec), "The job");
  } catch (cause) {
    throw new UsageError(TuttiError.from(cause).message, { cause });
  }
  const [file] = settings.method === undefined ? [] : methodFiles(settings.method);
  if (file !== undefined) throw refuseMaskOfJob(file);
  const options = await natsOptions(flags, "tutti submit");
  if (!options) throw new UsageError("--nats is needed: the NATS server that has the queue");
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  await using nats = await Nats.connect({ ...options, signal });
  const [queue, records] = await Promise.all([JobQueue.open(nats), JobRecords.open(nats)]);
  const { isRepeated } = await submitJob({ queue, records }, { id, spec });
  const terminal = stderrTerminal();
  if (!await queue.hasConsumer(ensemble)) {
    terminal.write(
      `warning: no coordinator has ever served the ensemble "${ensemble}" here: the job waits for one\n`,
    );
  }
  if (!flags.follow && !flags.wait) {
    if (json) printJson({ id, isRepeated, seeds: spec.seeds.map(String) });
    else printLine(isRepeated ? `${id} (submitted before)` : id);
    return;
  }
  if (!json) terminal.write(`Job ${id}\n`);
  const record = await follow(records, id, { steps: spec.steps, isSilent: json, signal });
  if (json) printJson(recordToJson(record));
  else for (const { path, seed } of record.images) printLine(`${path} (seed ${seed})`);
}

/** A file is read where a name cannot be meant: a coordinator would never hear of that. */
async function chosenEnsemble(
  ensemble: string,
): Promise<Pick<EnsembleFile, "name" | "defaults">> {
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
