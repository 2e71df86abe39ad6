/** One job on the stage: its pictures, how far it is, and what can be done with it. @module */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { announce } from "../parts/announcer.js";
import { html } from "../parts/html.js";
import { isEnded } from "./job_events.js";
import { sizeOf } from "./job_size.js";
import { spokenState, stateText } from "./job_text.js";
import { PictureFrame } from "./picture_frame.js";

/**
 * @param title what tells it from its neighbours
 * @param addressOf where a picture opens, by its id
 * @param hasSeeds whether the seeds of its pictures are told
 * @param actions buttons below it
 */
export function JobCard({ job, title, models, addressOf, hasSeeds, actions }) {
  const spoken = spokenState(job);
  useEffect(() => announce(title ? `${title}: ${spoken}` : spoken), [spoken, title]);
  const size = sizeOf(job, models);
  const pictures = job.seeds.map((seed, place) =>
    html`<${Picture} key=${seed} ...${{ job, seed, place, size, addressOf, hasSeeds }} />`
  );
  // As many columns as rows, where there are that many.
  const columns = Math.ceil(Math.sqrt(pictures.length));
  const rows = Math.ceil(pictures.length / columns);
  const shape = {
    "--columns": columns,
    "--ratio": (columns * size.width) / (rows * size.height),
  };
  const isBare = isEnded(job) && job.outputs.length === 0;
  const heading = title && html`<h2 class="job-title">${title}</h2>`;
  const warnings = job.warnings.map((text) => html`<p class="warning">${text}</p>`);
  return html`
    <article class=${`job ${job.status}`} style=${shape} aria-label=${title ?? job.prompt}>
      ${heading} ${!isBare && html`<div class="pictures">${pictures}</div>`}
      <${JobStatus} job=${job} label=${title ?? job.prompt} />
      ${warnings} ${isEnded(job) && actions}
    </article>
  `;
}

function Picture({ job, seed, place, size, addressOf, hasSeeds }) {
  const output = job.outputs[place];
  const alt = `${job.prompt || "Without a prompt"}, seed ${seed}`;
  const preview = job.previews?.[place];
  const frame = html`<${PictureFrame} ...${{ output, size, preview, alt }} />`;
  const opening = html`
    <a class="opening" href=${output && addressOf(output.id)}>${frame}</a>
  `;
  const caption = html`
    <figcaption><span class="soft">seed</span> <span class="number">${seed}</span></figcaption>
  `;
  return html`<figure>${output ? opening : frame}${hasSeeds && caption}</figure>`;
}

function JobStatus({ job, label }) {
  const [error, setError] = useState();
  if (job.status === "succeeded") return null;
  const cancel = async () => {
    try {
      await ask(`POST ${job.urls.cancel}`);
    } catch (problem) {
      setError(problem.message);
    }
  };
  const isOver = isEnded(job);
  const value = job.status === "queued" ? 0 : job.progress.value;
  const bar = html`
    <progress max="1" value=${value} aria-label=${`Progress of ${label}`}></progress>
  `;
  const button = html`
    <button class="quiet" onClick=${cancel} disabled=${job.status === "canceling"}>Cancel</button>
  `;
  return html`
    <div class="status">
      ${!isOver && bar}
      <div class="status-line">
        <span class=${job.status === "failed" ? "error" : "number"}>${error ??
          stateText(job)}</span>
        ${!isOver && button}
      </div>
    </div>
  `;
}
