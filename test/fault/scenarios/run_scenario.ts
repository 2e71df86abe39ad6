/**
 * Plays a scenario: starts its cluster, draws its images while things happen to it, and checks what must hold.
 *
 * @module
 */

import { useCredentials } from "../../../coordinator/cluster/credentials.ts";
import { type Ensemble, openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { ensemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import { type JobSpec, newJob } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { natsOptions } from "../../../shared/nats/nats_options.ts";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";
import { parseAddress } from "../../../shared/wire/address.ts";
import { eventually } from "../../support/serve_expert.ts";
import type { TuttiHome } from "../../support/run_tutti.ts";
import { PROMPT, ZOO_EXPERTS } from "../../support/zoo.ts";
import { Attackers } from "../attacks/attackers.ts";
import { type Facts, settled, verdict } from "./checks.ts";
import { drawImage, type ImageOutcome, type TimedEvent } from "./image_run.ts";
import { type HeldResources, heldResources, outgrown, ownResidentBytes } from "./held_resources.ts";
import { drawStrike, openLots } from "./lots.ts";
import type { Scenario } from "./scenario.ts";
import { WorkerFleet } from "./worker_fleet.ts";

export interface ImageRecord {
  readonly image: number;
  readonly isFailed: boolean;
  readonly hasEqualBits?: boolean;
  readonly error?: { readonly code: string; readonly message: string };
  readonly strikes: number;
  readonly seconds: number;
  /** Whether it was still being drawn when all was repaired that had happened to it. */
  readonly isRepaired: boolean;
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
  /** Of scenarios that check it: only Linux tells. */
  readonly held?: NonNullable<Facts["held"]>;
  /** Rounds of each attack. */
  readonly attacks?: Readonly<Record<string, number>>;
  /** Of the coordinator, once a minute; of those scenarios. */
  readonly residentBytes: readonly number[];
  readonly seconds: number;
}

export interface PlayOptions {
  readonly home: TuttiHome;
  readonly seed: number;
  readonly onImage?: (record: ImageRecord) => void;
}

/** Different noise for images that follow each other, and not many undisturbed runs to compare with. */
const SEEDS = 4;
const LOOK_MS = 60_000;

export async function playScenario(
  scenario: Scenario,
  { home, seed, onImage }: PlayOptions,
): Promise<ScenarioResult> {
  const { load } = scenario;
  const start = performance.now();
  const events: TimedEvent[] = [];
  const strikes: { readonly at: number; readonly worker: string | undefined }[] = [];
  const exits: Promise<{ code: number; stderr: string }>[] = [];
  const { token } = scenario.cluster;
  using _ = token === undefined ? undefined : useCredentials({ token });
  await using fleet = await WorkerFleet.start(home, scenario.cluster);
  await using ensemble = await openOn(fleet, load.parkSeconds ?? 60, (event) => events.push(event));
  const blocks = ensemble.experts[0]!.description.blocks.map(({ id }) => id);
  const lots = openLots(new Mt19937(seed), blocks, load.steps);
  const seeds = Math.min(SEEDS, load.images);
  const undisturbed = new Map<number, Float32Array>();
  const undisturbedSeconds: number[] = [];
  for (let i = 0; i < seeds; i++) {
    const began = performance.now();
    const { latents } = await runJob({ ensemble, spec: specOf(i, load.steps), warn: () => {} });
    undisturbed.set(i, latents.data);
    undisturbedSeconds.push((performance.now() - began) / 1000);
  }
  events.length = 0;
  const before = scenario.checks.includes("resources back")
    ? await heldResources(fleet.pids)
    : undefined;

  await using attackers = scenario.isAttacked ? new Attackers(fleet.workers[0]!) : undefined;
  const residentBytes: number[] = [];
  let nextLook = performance.now() + LOOK_MS;
  const images: ImageRecord[] = [];
  let whole = Promise.resolve();
  let next = 0;
  const end = performance.now() + (load.minutes ?? 0) * 60_000;
  const draw = async () => {
    while (next < load.images || performance.now() < end) {
      const image = next++;
      // A cluster that is not whole has no spare: that is another scenario.
      await whole;
      let isRepaired = true;
      const began = performance.now();
      const outcome = await drawImage({
        ...{ ensemble, fleet, spec: specOf(image % seeds, load.steps), job: `image-${image}` },
        strikes: scenario.events.flatMap((event) => drawStrike(event, image, lots)),
        onStrike: (worker, at, { action }, repair) => {
          strikes.push({ at, worker: worker?.address });
          if (worker && action.kind === "end" && action.signal === "SIGTERM") {
            exits.push(worker.result);
          }
          isRepaired = false;
          whole = Promise.all([whole, repair]).then(() => void (isRepaired = true));
        },
      });
      const record = {
        ...recordOf(image, outcome, undisturbed.get(image % seeds)!),
        ...(attackers && { strikes: 1 }),
        seconds: (performance.now() - began) / 1000,
        isRepaired,
      };
      images.push(record);
      if (before && performance.now() > nextLook) {
        nextLook += LOOK_MS;
        residentBytes.push(await ownResidentBytes());
      }
      onImage?.(record);
    }
  };
  await Promise.all(Array.from({ length: load.sideBySide ?? 1 }, draw));
  await whole;
  const attacks = await attackers?.stop();

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
  const held = before && await heldAtEnd(fleet, warm(before, residentBytes));
  const checks = [];
  for (const check of scenario.checks) {
    checks.push(
      await verdict(check, {
        ...{ images, losses, fleet, exits, undisturbedSeconds },
        ...(held && { held }),
      }),
    );
  }
  return {
    ...{
      scenario: scenario.name,
      what: scenario.what,
      images,
      losses,
      checks,
      residentBytes,
    },
    ...(held && { held }),
    ...(attacks && { attacks }),
    replayMs: events.flatMap((event) => event.kind === "failover" ? [event.replayMs] : []),
    seconds: (performance.now() - start) / 1000,
  };
}

/** Once it is no more than before, or a minute later: processes return memory when they have time. */
async function heldAtEnd(fleet: WorkerFleet, before: HeldResources) {
  await settled(fleet);
  let after = await heldResources(fleet.pids);
  const isBack = async () => {
    after = await heldResources(fleet.pids);
    return outgrown({ before, after }) === undefined;
  };
  await eventually(isBack).catch(() => {});
  return { before, after };
}

/** In the first sixth of a long run the coordinator's heap and compiled code grow to their size. */
function warm(before: HeldResources, residentBytes: readonly number[]): HeldResources {
  const { coordinator } = before;
  const bytes = residentBytes[Math.floor(residentBytes.length / 6)] ?? coordinator.residentBytes;
  return { ...before, coordinator: { ...coordinator, residentBytes: bytes } };
}

/** The bundled experts with plain averaging, on the fleet's workers. */
export async function openOn(
  fleet: WorkerFleet,
  parkSeconds: number,
  onEvent: (event: TimedEvent) => void,
): Promise<Ensemble> {
  const plan = await ensemblePlan({ sabw: "uniform" });
  const experts = ZOO_EXPERTS.map((name) =>
    fleet.nats
      ? { name, choice: { name } }
      : { name, addresses: fleet.of(name).map(({ address }) => parseAddress(address)) }
  );
  const nats = fleet.nats && await natsOptions({ nats: fleet.nats.url }, "fault scenarios");
  return await openEnsemble({ ...plan, experts }, {
    ...(nats && { nats }),
    replicas: {
      parkMs: parkSeconds * 1000,
      onEvent: (event) => onEvent({ ...event, at: performance.now() }),
    },
  });
}

function specOf(seed: number, steps: number): JobSpec {
  const subject = { prompt: PROMPT, seeds: [BigInt(seed)], ensemble: "shapes" };
  return newJob(subject, { steps, guidance: 5, wireDtype: "f32" });
}

function recordOf(
  image: number,
  { latents, error, struckAt }: ImageOutcome,
  undisturbed: Float32Array,
): Omit<ImageRecord, "isRepaired" | "seconds"> {
  return {
    ...{ image, isFailed: error !== undefined, strikes: struckAt.length },
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(latents && { hasEqualBits: latents.data.every((v, i) => Object.is(v, undisturbed[i])) }),
  };
}
