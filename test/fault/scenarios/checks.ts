/** Whether what must hold after a scenario does. @module */

import { median } from "../../../coordinator/bench/statistics.ts";
import { readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import { eventually } from "../../support/serve_expert.ts";
import { type HeldResources, outgrown } from "./held_resources.ts";
import type { ImageRecord, LossRecord } from "./run_scenario.ts";
import type { Check } from "./scenario.ts";
import type { WorkerFleet } from "./worker_fleet.ts";

export interface Facts {
  readonly images: readonly ImageRecord[];
  readonly losses: readonly LossRecord[];
  readonly fleet: WorkerFleet;
  readonly exits: readonly Promise<{ code: number; stderr: string }>[];
  /** Of images before anything happened, each. */
  readonly undisturbedSeconds: readonly number[];
  /** After the first images, which nothing happened to, and at the end; where that is checked. */
  readonly held?: { readonly before: HeldResources; readonly after: HeldResources };
}

/** What there is to say of a check: nothing if it holds. */
export async function verdict(
  check: Check,
  facts: Facts,
): Promise<{ readonly check: string; readonly problem?: string }> {
  const name = nameOf(check);
  const problem = await problemWith(check, facts);
  return { check: name, ...(problem !== undefined && { problem }) };
}

async function problemWith(
  check: Check,
  { images, losses, fleet, exits, held, undisturbedSeconds }: Facts,
): Promise<string | undefined> {
  const failed = images.filter(({ isFailed }) => isFailed);
  const struck = images.filter(({ strikes }) => strikes > 0);
  if (struck.length === 0) return "nothing happened to any image";
  const list = (of: readonly ImageRecord[]) =>
    of.length === 0
      ? undefined
      : of.map(({ image, error }) => `${image}: ${error?.message}`).join("; ");
  if (typeof check !== "string" && "timesSlower" in check) {
    const times = median(images.map(({ seconds }) => seconds)) / median(undisturbedSeconds);
    return times <= check.timesSlower ? undefined : `${times.toFixed(2)} times as long`;
  }
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
    case "no image failed but by cancelling":
      return list(failed.filter(({ error }) => error!.code !== "CANCELLED"));
    case "equal bits":
      return list(images.filter(({ hasEqualBits }) => hasEqualBits === false));
    case "typed errors":
      return failed.length === 0
        ? "no image failed"
        : list(failed.filter(({ error }) => error!.code !== "UNAVAILABLE"));
    case "cancelled":
      return list(struck.filter(({ error }) => error && error.code !== "CANCELLED"));
    case "outlasted":
      return list(struck.filter(({ isRepaired }) => !isRepaired));
    case "announced":
      return await notAnnounced(fleet);
    case "resources back":
      return outgrown(held!);
    case "clean exits": {
      const codes = (await Promise.all(exits)).map(({ code }) => code);
      return codes.every((code) => code === 0) ? undefined : `exit codes ${codes}`;
    }
    case "nothing left":
      return await leftOn(fleet);
  }
}

function nameOf(check: Check): string {
  if (typeof check === "string") return check;
  return "timesSlower" in check
    ? `at most ${check.timesSlower} times as long`
    : `noticed within ${check.noticedWithinMs} ms`;
}

/** What workers that are there still hold. */
async function leftOn(fleet: WorkerFleet): Promise<string | undefined> {
  await settled(fleet);
  const left = await heldByWorkers(fleet);
  return left.length === 0 ? undefined : left.join("; ");
}

/** Waits until no worker has anything to do, for some seconds at most. */
export async function settled(fleet: WorkerFleet): Promise<void> {
  await eventually(async () => (await heldByWorkers(fleet)).length === 0).catch(() => {});
}

async function heldByWorkers(fleet: WorkerFleet): Promise<string[]> {
  const lines = await Promise.all(fleet.workers.map(async ({ address }) => {
    const status = await readWorkerStatus(address).catch(() => undefined);
    if (!status) return [];
    const { sessions, arenaBytesUsed, busyLanes, queueDepth } = status;
    const isIdle = sessions + arenaBytesUsed + busyLanes + queueDepth === 0;
    return isIdle ? [] : [`${address} has ${sessions} sessions, ${arenaBytesUsed} bytes`];
  }));
  return lines.flat();
}

async function notAnnounced(fleet: WorkerFleet): Promise<string | undefined> {
  const { length } = fleet.workers;
  const count = async () => (await fleet.announced()).length;
  await eventually(async () => await count() === length).catch(() => {});
  const announced = await count();
  return announced === length ? undefined : `${announced} of ${length} workers`;
}
