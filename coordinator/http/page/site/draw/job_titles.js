/** What tells jobs apart that are side by side. @module */

import { methodOf } from "../job/job_text.js";

/** More would not be read. */
const MOST = 2;

/** @returns one title each; none for one job alone */
export function titlesOf(jobs, { models, samplers }) {
  if (jobs.length < 2) return [];
  const labels = [
    (job) => methodOf(job, models),
    ({ settings: { sampler, schedule } }) => {
      const label = samplers.find(({ name }) => name === sampler)?.label ?? sampler;
      return [label, schedule].filter(Boolean).join(" · ");
    },
    ({ prompt }) => prompt,
    ({ seeds }) => `seed ${seeds[0]}`,
  ];
  const differing = labels.filter((label) => new Set(jobs.map(label)).size > 1);
  const used = differing.length > 0 ? differing.slice(0, MOST) : labels.slice(0, 1);
  return jobs.map((job) => used.map((label) => label(job)).join(" · "));
}
