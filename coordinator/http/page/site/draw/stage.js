/** What is being drawn, and what was drawn last. @module */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { addressOf, goTo, replaceRoute } from "../app/route.js";
import { JobCard } from "../job/job_card.js";
import { useJobs } from "../job/use_jobs.js";
import { html } from "../parts/html.js";
import { PictureDialog } from "../picture/picture_dialog.js";
import { valuesOfJob } from "./form_values.js";
import { StageHead } from "./stage_head.js";
import { titlesOf } from "./job_titles.js";

/**
 * @param ids of the jobs to show
 * @param picture id of the one that is open
 * @param given jobs as the server has just taken them
 */
export function Stage({ catalog, ids, picture, given, onReuse }) {
  useRunningJobs(ids);
  const known = useJobs(ids, given);
  const jobs = ids.map((id) => known.get(id)).filter(Boolean);
  const isGone = ids.length > 0 && ids.every((id) => known.get(id) === null);
  const isSeveral = jobs.length > 1;
  const { models } = catalog;
  const titles = titlesOf(jobs, catalog);
  const place = ids.join(",");
  const addressOfPicture = (id) => addressOf("draw", `${place}/${id}`);
  const cards = jobs.map((job, i) => {
    const actions = html`
      <${Actions} ...${{ job, catalog, isSeveral, onReuse }} addressOf=${addressOfPicture} />
    `;
    const hasSeeds = job.seeds.length > 1;
    return html`
      <${JobCard} key=${job.id} title=${titles[i]} addressOf=${addressOfPicture}
        ...${{ job, models, hasSeeds, actions }} />
    `;
  });
  const filled = html`
    ${isSeveral && html`<${StageHead} jobs=${jobs} onReuse=${onReuse} />`}
    <div class=${isSeveral ? "jobs several" : "jobs"}>${cards}</div>
  `;
  const onClose = () => goTo("draw", place);
  const onUse = (values) => {
    onReuse(values);
    onClose();
  };
  const onDeleted = (gone) => goTo("draw", ids.filter((id) => id !== gone).join(","));
  const onOpen = (id) => replaceRoute("draw", `${place}/${id}`);
  const pictures = jobs.flatMap((job) => job.outputs.map((output) => ({ job, output })));
  const dialog = () =>
    html`
      <${PictureDialog} id=${picture} ...${{
        catalog,
        pictures,
        onOpen,
        onClose,
        onUse,
        onDeleted,
      }} />
    `;
  return html`
    <section class="stage" aria-label="Pictures">
      ${cards.length > 0 ? filled : html`<${Empty} models=${models} isGone=${isGone} />`}
      ${picture && dialog()}
    </section>
  `;
}

/** Whoever comes back without an address finds what is still being drawn. */
function useRunningJobs(ids) {
  const [isAsked, setAsked] = useState(false);
  useEffect(() => {
    if (isAsked || ids.length > 0) return;
    setAsked(true);
    ask("GET /api/v1/jobs?limit=12&status=running,queued,canceling").then(({ jobs }) => {
      if (jobs.length > 0) replaceRoute("draw", jobs.map(({ id }) => id).reverse().join(","));
    }, () => {/* Then the stage is empty. */});
  }, [isAsked, ids]);
}

function Actions({ job, catalog, isSeveral, onReuse, addressOf }) {
  const [output] = job.outputs;
  const { seeds, seeds: [seed] } = job;
  const told = html`
    <span class="grow"><span class="soft">seed</span> <span class="number">${seed}</span></span>
  `;
  const keep = html`
    <button onClick=${() => onReuse({ seed })}>
      ${seeds.length > 1 ? "Keep these seeds" : "Keep this seed"}
    </button>
  `;
  const again = html`
    <button onClick=${() => onReuse(valuesOfJob(job, catalog))}>Use these settings</button>
  `;
  const details = html`<a class="button" href=${output && addressOf(output.id)}>Details</a>`;
  // What is side by side tells the seed once, above.
  return html`
    <div class="actions">
      ${!isSeveral && seeds.length === 1 && told} ${isSeveral ? again : keep} ${output && details}
    </div>
  `;
}

function Empty({ models: [{ experts }], isGone }) {
  const names = experts.map(({ name }) => name).join(", ");
  return html`
    <div class="empty">
      <img src="/page/mark.svg" alt="" width="64" height="64" />
      <p>${isGone ? "These pictures are gone." : "What you draw appears here."}</p>
      <p class="soft">${names} ${experts.length === 1 ? "is" : "are"} ready.</p>
    </div>
  `;
}
