/** What is being drawn, and what was drawn last. @module */

import { useEffect, useMemo, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { replaceRoute } from "../app/route.js";
import { JobCard } from "../job/job_card.js";
import { isEnded } from "../job/job_events.js";
import { methodOf } from "../job/job_text.js";
import { useJobs } from "../job/use_jobs.js";
import { html } from "../parts/html.js";
import { valuesOfJob } from "./form_values.js";

export function Stage({ catalog, ids, given, onReuse }) {
  useRunningJobs(ids);
  const jobs = useJobs(ids, given);
  const shown = ids.map((id) => jobs.get(id)).filter(Boolean);
  const isGone = ids.length > 0 && ids.every((id) => jobs.get(id) === null);
  const titles = useMemo(() => titlesOf(shown, catalog), [shown.map(({ id }) => id).join(",")]);
  const actions = (job) =>
    isEnded(job) && html`<div class="actions">
      <button onClick=${() => onReuse({ seed: job.seeds[0] })}>Keep this seed</button>
      ${
      shown.length > 1 &&
      html`<button onClick=${() => onReuse(valuesOfJob(job, catalog))}>Use these settings</button>`
    }
    </div>`;
  return html`<section class="stage" aria-label="Pictures">
    ${
    shown.length === 0
      ? html`<${Empty} models=${catalog.models} isGone=${isGone} />`
      : html`<div class=${shown.length > 1 ? "jobs several" : "jobs"}>
          ${
        shown.map((job, i) =>
          html`
            <${JobCard} key=${job.id} job=${job} title=${titles[i]} models=${catalog.models}
              actions=${actions} />
          `
        )
      }
        </div>`
  }
  </section>`;
}

/** Whoever comes back without an address finds what is still being drawn. */
function useRunningJobs(ids) {
  const [isAsked, setAsked] = useState(false);
  useEffect(() => {
    if (isAsked || ids.length > 0) return;
    setAsked(true);
    void ask("GET /api/v1/jobs?limit=12&status=running,queued,canceling").then(({ jobs }) => {
      if (jobs.length > 0) replaceRoute("draw", jobs.map(({ id }) => id).reverse().join(","));
    }).catch(() => {/* Then the stage is empty. */});
  }, [isAsked, ids]);
}

/** What tells jobs apart that are side by side; none for one alone. */
function titlesOf(jobs, { models, samplers }) {
  if (jobs.length < 2) return [];
  const labels = [
    (job) => methodOf(job, models),
    ({ settings: { sampler, schedule } }) =>
      [samplers.find(({ name }) => name === sampler)?.label ?? sampler, schedule].filter(Boolean)
        .join(" · "),
    ({ prompt }) => prompt,
    ({ seeds }) => `seed ${seeds[0]}`,
  ];
  const differing = labels.filter((label) => new Set(jobs.map(label)).size > 1);
  const used = differing.length > 0 ? differing.slice(0, 2) : labels.slice(0, 1);
  return jobs.map((job) => used.map((label) => label(job)).join(" · "));
}

function Empty({ models, isGone }) {
  const [{ experts }] = models;
  return html`
    <div class="empty">
      <img src="/page/mark.svg" alt="" width="72" height="72" />
      <p>${isGone ? "These pictures are gone." : "What you draw appears here."}</p>
      <p class="soft">${experts.map(({ name }) => name).join(", ")} ${experts.length === 1
        ? "is"
        : "are"} ready.</p>
    </div>
  `;
}
