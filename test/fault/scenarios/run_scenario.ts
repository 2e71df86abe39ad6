/**
 * Plays a scenario: starts its cluster, draws its images while things happen to it, and checks what must hold.
 *
 * @module
 */

import { readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import { type Ensemble, openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { ensemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import type { JobSpec } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { parseAddress } from "../../../shared/wire/address.ts";
import type { TuttiHome } from "../../support/run_tutti.ts";
import { eventually } from "../../support/serve_expert.ts";
import { PROMPT, ZOO_EXPERTS } from "../../support/zoo.ts";
import { drawImage, type ImageOutcome, type Strike, type TimedEvent } from "./image_run.ts";
import type { Check, Scenario, ScenarioEvent } from "./scenario.ts";
import { WorkerFleet } from "./worker_fleet.ts";

export interface ImageRecord {
  readonly image: number;
  readonly isFailed: boolean;
  readonly hasEqualBits?: boolean;
  readonly error?: { readonly code: string; readonly message: string };
  readonly strikes: number;
}

export interface LossRecord {
  readonly expert: string;
  readonly reason: string;
  readonly block?: string;
  readonly stepIndex?: number;
  /** From the strike to noticing it, ms. */
  readonly noticedMs: number;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly what: string;
  readonly images: readonly ImageRecord[];
  readonly losses: readonly LossRecord[];
  /** Moves to another worker, ms each. */
  readonly replayMs: readonly number[];
  readonly checks: readonly { readonly check: string; readonly problem?: string }[];
  readonly seconds: number;
}

export interface PlayOptions {
  readonly home: TuttiHome;
  readonly seed: number;
  readonly onImage?: (record: ImageRecord) => void;
}

/** Different noise for images that follow each other, and not many undisturbed runs to compare with. */
const SEEDS = 4;

export async function playScenario(
  scenario: Scenario,
  { home, seed, onImage }: PlayOptions,
): Promise<ScenarioResult> {
  const { load } = scenario;
  const start = performance.now();
  const random = new Mt19937(seed);
  const events: TimedEvent[] = [];
  const strikes: { readonly at: number; readonly worker: string }[] = [];
  const exits: Promise<{ code: number; stderr: string }>[] = [];
  await using fleet = await WorkerFleet.start(home, scenario.cluster);
  await using ensemble = await openOn(fleet, load.parkSeconds ?? 60, (event) => events.push(event));
  const blocks = ensemble.experts[0]!.description.blocks.map(({ id }) => id);
  const lots = {
    random,
    blocks,
    steps: load.steps,
    inOrder: countUp(blocks.length),
    experts: countUp(ZOO_EXPERTS.length),
  };
  const undisturbed = new Map<number, Float32Array>();
  for (let i = 0; i < Math.min(SEEDS, load.images); i++) {
    const { latents } = await runJob({ ensemble, spec: specOf(i, load.steps), warn: () => {} });
    undisturbed.set(i, latents.data);
  }
  events.length = 0;

  const images: ImageRecord[] = [];
  let whole = Promise.resolve();
  let next = 0;
  const draw = async () => {
    while (next < load.images) {
      const image = next++;
      // A cluster that is not whole has no spare: that is another scenario.
      await whole;
      const outcome = await drawImage({
        ...{ ensemble, fleet, spec: specOf(image % SEEDS, load.steps), job: `image-${image}` },
        strikes: scenario.events.flatMap((event) => drawStrike(event, image, lots)),
        onStrike: (worker, at, { action }, repair) => {
          strikes.push({ at, worker: worker.address });
          if (action.kind === "end" && action.signal === "SIGTERM") exits.push(worker.result);
          whole = Promise.all([whole, repair]).then(() => {});
        },
      });
      const record = recordOf(image, outcome, undisturbed.get(image % SEEDS)!);
      images.push(record);
      onImage?.(record);
    }
  };
  await Promise.all(Array.from({ length: load.sideBySide ?? 1 }, draw));
  await whole;

  const losses = events.flatMap((event) => {
    if (event.kind !== "lost") return [];
    const { expert, reason, block, stepIndex, worker, at } = event;
    const strike = strikes.findLast((strike) => strike.worker === worker && strike.at <= at);
    if (!strike) return [];
    return [{
      ...{ expert, reason, noticedMs: at - strike.at },
      ...(block !== undefined && { block }),
      ...(stepIndex !== undefined && { stepIndex }),
    }];
  });
  const facts = { images, losses, fleet, exits };
  const checks = [];
  for (const check of scenario.checks) checks.push(await verdict(check, facts));
  return {
    ...{ scenario: scenario.name, what: scenario.what, images, losses, checks },
    replayMs: events.flatMap((event) => event.kind === "failover" ? [event.replayMs] : []),
    seconds: (performance.now() - start) / 1000,
  };
}

/** The bundled ensemble on the fleet's workers. */
async function openOn(
  fleet: WorkerFleet,
  parkSeconds: number,
  onEvent: (event: TimedEvent) => void,
): Promise<Ensemble> {
  const plan = await ensemblePlan({ sabw: "uniform" });
  const experts = ZOO_EXPERTS.map((name) => ({
    name,
    addresses: fleet.of(name).map(({ address }) => parseAddress(address)),
  }));
  return await openEnsemble({ ...plan, experts }, {
    replicas: {
      parkMs: parkSeconds * 1000,
      onEvent: (event) => onEvent({ ...event, at: performance.now() }),
    },
  });
}

function specOf(seed: number, steps: number): JobSpec {
  return {
    ...{ prompt: PROMPT, negative: "", promptSyntax: "a1111", clipSkip: 1, steps, guidance: 5 },
    ...{ seeds: [BigInt(seed)], wireDtype: "f32", ensemble: "shapes" },
  };
}

interface Lots {
  readonly random: Mt19937;
  readonly blocks: readonly string[];
  readonly steps: number;
  /** Numbers of the blocks that come next. */
  readonly inOrder: Iterator<number, never>;
  /** Experts take turns: who was struck a moment ago has no spare yet. */
  readonly experts: Iterator<number, never>;
}

function* countUp(below: number): Generator<number, never> {
  for (let i = 0;; i++) yield i % below;
}

/** What an event means for an image: when it strikes, and whom. */
function drawStrike(
  { at, action }: ScenarioEvent,
  image: number,
  { random, blocks, steps, inOrder, experts }: Lots,
): Strike[] {
  if (at.image !== "each" && at.image !== image) return [];
  const below = (bound: number) => random.random32() % bound;
  const step = at.step ?? 1 + below(steps - 1);
  const struck = at.block === "next"
    ? inOrder.next().value
    : at.block === undefined
    ? below(blocks.length)
    : blocks.indexOf(at.block);
  const expert = ZOO_EXPERTS[experts.next().value]!;
  // The first block of a step follows the last one of the step before.
  return struck === 0
    ? [{ step: step - 1, afterBlock: blocks.length - 1, expert, action }]
    : [{ step, afterBlock: struck - 1, expert, action }];
}

function recordOf(
  image: number,
  { latents, error, struckAt }: ImageOutcome,
  undisturbed: Float32Array,
): ImageRecord {
  return {
    ...{ image, isFailed: error !== undefined, strikes: struckAt.length },
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(latents && { hasEqualBits: latents.data.every((v, i) => Object.is(v, undisturbed[i])) }),
  };
}

interface Facts {
  readonly images: readonly ImageRecord[];
  readonly losses: readonly LossRecord[];
  readonly fleet: WorkerFleet;
  readonly exits: readonly Promise<{ code: number; stderr: string }>[];
}

async function verdict(
  check: Check,
  facts: Facts,
): Promise<{ readonly check: string; readonly problem?: string }> {
  const name = typeof check === "string" ? check : `noticed within ${check.noticedWithinMs} ms`;
  const problem = await problemWith(check, facts);
  return { check: name, ...(problem !== undefined && { problem }) };
}

async function problemWith(
  check: Check,
  { images, losses, fleet, exits }: Facts,
): Promise<string | undefined> {
  const failed = images.filter(({ isFailed }) => isFailed);
  const struck = images.filter(({ strikes }) => strikes > 0);
  if (struck.length === 0) return "nothing happened to any image";
  const list = (of: readonly ImageRecord[]) =>
    of.length === 0
      ? undefined
      : of.map(({ image, error }) => `${image}: ${error?.message}`).join("; ");
  if (typeof check !== "string") {
    if (losses.length === 0) return "no loss was noticed";
    const late = losses.filter(({ noticedMs }) => noticedMs > check.noticedWithinMs);
    return late.length === 0
      ? undefined
      : late.map(({ expert, noticedMs }) => `${expert} after ${Math.round(noticedMs)} ms`).join();
  }
  switch (check) {
    case "no image failed":
      return list(failed);
    case "equal bits":
      return list(images.filter(({ hasEqualBits }) => hasEqualBits === false));
    case "typed errors":
      return failed.length === 0
        ? "no image failed"
        : list(failed.filter(({ error }) => error!.code !== "UNAVAILABLE"));
    case "cancelled":
      return list(struck.filter(({ error }) => error && error.code !== "CANCELLED"));
    case "clean exits": {
      const codes = (await Promise.all(exits)).map(({ code }) => code);
      return codes.every((code) => code === 0) ? undefined : `exit codes ${codes}`;
    }
    case "nothing left":
      return await leftOn(fleet);
  }
}

/** What workers that are there still hold. */
async function leftOn(fleet: WorkerFleet): Promise<string | undefined> {
  const held = async () => {
    const lines = await Promise.all(fleet.workers.map(async ({ address }) => {
      const status = await readWorkerStatus(address).catch(() => undefined);
      if (!status) return [];
      const { sessions, arenaBytesUsed, busyLanes, queueDepth } = status;
      const isIdle = sessions + arenaBytesUsed + busyLanes + queueDepth === 0;
      return isIdle ? [] : [`${address} has ${sessions} sessions, ${arenaBytesUsed} bytes`];
    }));
    return lines.flat();
  };
  await eventually(async () => (await held()).length === 0).catch(() => {});
  const left = await held();
  return left.length === 0 ? undefined : left.join("; ");
}
