/**
 * One job of the queue from its message to its images: taken, drawn from its newest checkpoint on, stored, and only then
 * acknowledged. Each way in which that can end has its own answer to the queue.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { JsMsg } from "nats";
import { type Code, FormatError, TuttiError } from "../../../shared/errors.ts";
import type { Patience } from "../../cluster/admission_retry.ts";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import type { SegmentReport } from "../../sampling/ensemble_forward.ts";
import { resumeJob } from "../resume_job.ts";
import type { DrawnImages } from "../run_job.ts";
import { storeImages } from "../store_images.ts";
import type { StepCheckpoint } from "../step_checkpoint.ts";
import type { HeldJob } from "./held_job.ts";
import { lostError } from "./job_lease.ts";
import { readQueuedJob } from "./job_queue.ts";
import type { OutFolder } from "./out_folder.ts";
import { jobError, type StoredImage } from "./job_record.ts";
import { QueuedPictures } from "./queued_pictures.ts";
import { type JobStores, takeJob } from "./take_job.ts";

export interface ServeOptions extends JobStores {
  readonly ensemble: Ensemble;
  /** Where images go. */
  readonly out: OutFolder;
  /** Who this is, for people. */
  readonly coordinator: string;
  /** How often in a row a job may be tried without one more finished step. */
  readonly maxAttempts: number;
  /** Of one job, with workers that are full. */
  readonly patience: (ends: AbortSignal) => Patience;
  /** Jobs go back into the queue after the step that they are at. */
  readonly draining: AbortSignal;
  readonly onEvent: (event: JobEvent) => void;
  /** Told what each range of blocks took. */
  readonly onSegment?: (report: SegmentReport) => void;
}

export type JobEvent =
  | { readonly event: "started"; readonly job: string; readonly stepsDone: number }
  | { readonly event: "done"; readonly job: string; readonly images: readonly StoredImage[] }
  /** Given back to the queue: by a drain, or after a failure that may pass. */
  | { readonly event: "returned"; readonly job: string; readonly error: TuttiError }
  /** Nothing will be drawn. */
  | { readonly event: "failed"; readonly job: string; readonly error: TuttiError }
  /** Another coordinator has it. */
  | { readonly event: "lost"; readonly job: string; readonly error: TuttiError }
  | { readonly event: "warning"; readonly job: string; readonly text: string };

/** What will not be otherwise the next time: the job itself is wrong, or the models make no numbers of it. */
const HOPELESS: ReadonlySet<Code> = new Set<Code>([
  "INVALID_ARGUMENT",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "DATA_LOSS",
]);

/** Wait before a job is tried again, ms: doubled with each attempt that brought nothing. */
const RETRY_MIN_MS = 500, RETRY_MAX_MS = 30_000;

/** When to look again at a job that another coordinator works at, ms. */
const ELSEWHERE_MS = 5_000;

/** Never rejects for what is wrong with a job: that is an event. */
export async function serveJob(message: JsMsg, options: ServeOptions): Promise<void> {
  const { draining, onEvent } = options;
  let job;
  try {
    job = readQueuedJob(message);
  } catch (error) {
    message.term();
    onEvent({ event: "failed", job: `message ${message.seq}`, error: TuttiError.from(error) });
    return;
  }
  const { id } = job;
  let held: HeldJob | "over" | "elsewhere";
  try {
    held = await takeJob(options, message, job, draining);
  } catch (cause) {
    const error = TuttiError.from(cause);
    // A record that cannot be read does not get better; else NATS is away, or this coordinator is leaving.
    if (error instanceof FormatError) message.term();
    else message.nak(draining.aborted ? undefined : RETRY_MIN_MS);
    const event = error instanceof FormatError ? "failed" : "returned";
    onEvent({ event, job: id, error });
    return;
  }
  if (held === "over") return message.ack();
  if (held === "elsewhere") return message.nak(ELSEWHERE_MS);
  await using _released = held;
  try {
    await attempt(held, options);
    await message.ackAck().catch(() => {/* Given again it is over, and acknowledged then. */});
  } catch (error) {
    await giveUp(held, message, whatEnded(held, error), options);
  }
}

/** Draws and stores. */
async function attempt(held: HeldJob, options: ServeOptions): Promise<void> {
  const { ensemble, coordinator, maxAttempts, draining, onEvent } = options;
  const { record } = held;
  const { id: job, spec } = record;
  if (record.isCancelWanted) throw new TuttiError("CANCELLED", `Job "${job}" was cancelled`);
  if (spec.ensemble !== ensemble.name) {
    throw new FormatError(
      `Job "${job}" must be for the ensemble ${ensemble.name}, in whose queue it is: its ensemble is "${spec.ensemble}"`,
    );
  }
  if (record.attempts >= maxAttempts) throw hopeless(held, maxAttempts);
  await held.write({ state: "running", coordinator, attempts: record.attempts + 1 });
  const warn = (text: string) => onEvent({ event: "warning", job, text });
  let before: number | undefined;
  const run = {
    ...{ ensemble, spec, job, fence: held.fence, draining, warn },
    ...{ patience: options.patience(held.ends), signal: held.ends },
    checkpoints: { save: (step: StepCheckpoint) => held.keepStep(step) },
    ...(options.onSegment && { onSegment: options.onSegment }),
    onStep: async (stepsDone: number) => {
      if (before === undefined) onEvent({ event: "started", job, stepsDone });
      before ??= stepsDone;
      await held.keepRecord({ stepsDone, ...(stepsDone > before && { attempts: 0 }) });
    },
  };
  const drawn = await resumeJob(
    run,
    held.checkpoint,
    (reason) => warn(`its checkpoint is not used: ${reason}`),
  );
  await held.confirmLastly(draining);
  const images = await store(drawn, job, options, warn);
  const done = { state: "done", images, stepsDone: spec.steps, attempts: 0 } as const;
  await held.writeLastly({ ...done, endedAt: Date.now() }, draining);
  onEvent({ event: "done", job, images });
  await held.checkpoint.remove().catch(() => {/* It vanishes by itself. */});
}

/** Under names that follow from the job: done twice, the same bytes are in the same place. */
async function store(
  drawn: DrawnImages,
  job: string,
  { ensemble, out, nats }: ServeOptions,
  warn: (text: string) => void,
): Promise<StoredImage[]> {
  const seeds = drawn.facts.map(({ seed }) => seed);
  // No id has a dot: "castle-1" is another job, and not the first image of "castle".
  const paths = seeds.map((_, i) =>
    join(out.path, seeds.length === 1 ? `${job}.png` : `${job}.${i + 1}.png`)
  );
  await out.write(() => storeImages(ensemble, drawn, paths));
  const pictures = new QueuedPictures(nats);
  return await Promise.all(paths.map(async (path, i) => {
    const bytes = await out.write(() => Deno.readFile(path));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    // It is drawn: that others cannot fetch it is no reason to draw it again.
    await pictures.put(bytes, { sha256 }).catch((error) =>
      warn(`it is here only: ${TuttiError.from(error).message}`)
    );
    return { path: await Deno.realPath(path), seed: String(seeds[i]), sha256 };
  }));
}

/** What the queue, the record and the person who watches are told of an attempt that did not end with images. */
async function giveUp(
  held: HeldJob,
  message: JsMsg,
  error: TuttiError,
  { draining, onEvent }: ServeOptions,
): Promise<void> {
  const { id: job, attempts } = held.record;
  if (held.isLost) {
    // Neither yes nor no: the message is its new owner's.
    onEvent({ event: "lost", job, error });
    return;
  }
  try {
    const isDraining = draining.aborted;
    if (!isDraining && isFinal(error)) {
      const state = error.code === "CANCELLED" ? "cancelled" : "failed";
      await held.writeLastly({ state, error: jobError(error), endedAt: Date.now() }, draining);
      await message.ackAck().catch(() => {});
      await held.checkpoint.remove().catch(() => {});
      onEvent({ event: "failed", job, error });
      return;
    }
    await held.write({
      state: "queued",
      ...(isDraining ? {} : { error: jobError(error) }),
      ...((isDraining || isBusy(error)) && { attempts: Math.max(0, attempts - 1) }),
    });
    message.nak(isDraining ? undefined : retryDelayMs(error, attempts));
  } catch (failure) {
    // The record could not be written: the queue gives the job out again when nothing is heard of it.
    if (held.isLost) return onEvent({ event: "lost", job, error: lostError(job) });
    onEvent({ event: "warning", job, text: TuttiError.from(failure).message });
  }
  onEvent({ event: "returned", job, error });
}

/** The error behind a run that was ended from outside, or by a worker that has met another owner. */
function whatEnded(held: HeldJob, error: unknown): TuttiError {
  const typed = TuttiError.from(error);
  if (typed.code === "FAILED_PRECONDITION" && typed.details.field === "fence") held.lose();
  return held.ends.aborted ? TuttiError.from(held.ends.reason) : typed;
}

/** It was not the job's fault: whoever refused it says when to come again. */
function isBusy({ details }: TuttiError): boolean {
  return details.retry_after_ms !== undefined || details.state === "draining";
}

function isFinal({ code, details }: TuttiError): boolean {
  return code === "CANCELLED" || HOPELESS.has(code) || details.limit === "attempts";
}

/** A job that ends its coordinators, or never gets further. */
function hopeless(
  { record: { id, attempts, stepsDone, error } }: HeldJob,
  most: number,
): TuttiError {
  const reason = error?.message ?? "its coordinator ended without a word each time";
  return new TuttiError(
    error?.code ?? "INTERNAL",
    `Job "${id}" was tried ${attempts} times in a row after step ${stepsDone} without finishing another one: ${reason}`,
    {
      details: {
        job: id,
        limit: "attempts",
        asked: String(attempts + 1),
        left: String(most - attempts),
      },
    },
  );
}

function retryDelayMs({ details }: TuttiError, attempts: number): number {
  const asked = Number(details.retry_after_ms);
  if (Number.isFinite(asked) && asked > 0) return Math.min(asked, RETRY_MAX_MS);
  return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** attempts);
}
