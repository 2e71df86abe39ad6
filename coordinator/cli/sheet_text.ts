/** What a sheet says about its rows, and below them about all. @module */

import type { JobSpec } from "../jobs/job_spec.ts";
import { findSampler } from "../sampling/samplers/samplers.ts";
import type { Column } from "./sheet_columns.ts";

export interface SheetText {
  /** One per row: its prompt, and what only it has. */
  readonly titles: readonly string[];
  readonly footer: string;
}

/** @param specs of the first column, one per row */
export function sheetText(specs: readonly JobSpec[], columns: readonly Column[]): SheetText {
  const varies = (name: keyof Column["settings"]) =>
    columns.some(({ settings }) => settings[name] !== undefined);
  const facts = specs.map(({ seeds, sampler, schedule, steps, guidance, method }) => [
    `seed ${seeds[0]}`,
    ...(varies("sampler") ? [] : [findSampler(sampler).label]),
    ...(schedule === undefined ? [] : [`schedule ${schedule}`]),
    `${steps} steps`,
    `guidance ${guidance}`,
    ...(varies("method") || method === undefined ? [] : [method]),
  ]);
  const isCommon = (fact: string) => facts.every((row) => row.includes(fact));
  const titles = specs.map(({ prompt }, r) => {
    const own = facts[r]!.filter((fact) => !isCommon(fact));
    return own.length === 0 ? prompt : `${prompt} (${own.join(", ")})`;
  });
  return { titles, footer: (facts[0] ?? []).filter(isCommon).join(", ") };
}
