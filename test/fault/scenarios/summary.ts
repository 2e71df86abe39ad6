/** A scenario's result in numbers: what is kept, and what the table of `docs/faults.md` is written from. @module */

import type { ScenarioResult } from "./run_scenario.ts";

export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

export interface Summary {
  readonly scenario: string;
  readonly what: string;
  readonly seed: number;
  readonly images: number;
  /** Events that struck an image. */
  readonly strikes: number;
  readonly failed: number;
  readonly otherBits: number;
  /** Calls that were under way when their worker was lost, by block. */
  readonly losses: Readonly<Record<string, number>>;
  /** From a strike to noticing the loss, ms. */
  readonly noticedMs?: Spread;
  /** From noticing to a session that stands where the lost one stood, ms; waiting for a worker included. */
  readonly replacedMs?: Spread;
  readonly checks: ScenarioResult["checks"];
  /** What the processes held after the first images and at the end, where that is checked. */
  readonly held?: NonNullable<ScenarioResult["held"]>;
  readonly residentBytes?: ScenarioResult["residentBytes"];
  readonly attacks?: NonNullable<ScenarioResult["attacks"]>;
  readonly seconds: number;
}

export function summarize(result: ScenarioResult, seed: number): Summary {
  const {
    scenario,
    what,
    images,
    losses,
    replayMs,
    checks,
    held,
    seconds,
    residentBytes,
    attacks,
  } = result;
  const byBlock: Record<string, number> = {};
  for (const { block = "none" } of losses) byBlock[block] = (byBlock[block] ?? 0) + 1;
  const noticedMs = spreadOf(losses.map((loss) => loss.noticedMs));
  const replacedMs = spreadOf(replayMs);
  return {
    ...{ scenario, what, seed, images: images.length, losses: byBlock, checks, seconds },
    strikes: images.reduce((sum, image) => sum + image.strikes, 0),
    failed: images.filter(({ error }) => error && error.code !== "CANCELLED").length,
    otherBits: images.filter(({ hasEqualBits }) => hasEqualBits === false).length,
    ...(held && { held, residentBytes }),
    ...(attacks && { attacks }),
    ...(noticedMs && { noticedMs }),
    ...(replacedMs && { replacedMs }),
  };
}

/** Of several runs of one scenario: one that was interrupted goes on in another one. */
export function merge(summaries: readonly Summary[]): Summary[] {
  const names = [...new Set(summaries.map(({ scenario }) => scenario))];
  return names.map((name) =>
    summaries.filter(({ scenario }) => scenario === name).reduce((a, b) => ({
      ...b,
      images: a.images + b.images,
      strikes: a.strikes + b.strikes,
      failed: a.failed + b.failed,
      otherBits: a.otherBits + b.otherBits,
      losses: Object.fromEntries(
        [...new Set([...Object.keys(a.losses), ...Object.keys(b.losses)])].sort()
          .map((block) => [block, (a.losses[block] ?? 0) + (b.losses[block] ?? 0)]),
      ),
      ...worse("noticedMs", a, b),
      ...worse("replacedMs", a, b),
      checks: [...a.checks.filter(({ problem }) => problem !== undefined), ...b.checks],
      seconds: a.seconds + b.seconds,
    }))
  );
}

/** No better than the worse of two. */
function worse(key: "noticedMs" | "replacedMs", a: Summary, b: Summary) {
  const spreads = [a[key], b[key]].filter((spread) => spread !== undefined);
  if (spreads.length === 0) return {};
  const most = (field: keyof Spread) => Math.max(...spreads.map((spread) => spread[field]));
  return { [key]: { p50: most("p50"), p99: most("p99"), most: most("most") } };
}

function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))]!);
  return { p50: at(0.5), p99: at(0.99), most: at(1) };
}
