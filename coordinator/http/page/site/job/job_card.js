/** One job on the stage: its pictures, how far it is, and what can be done with it. @module */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { addressOf } from "../app/route.js";
import { announce } from "../parts/announcer.js";
import { html } from "../parts/html.js";
import { isEnded } from "./job_events.js";
import { sizeOf } from "./job_size.js";
import { spokenState, stateText } from "./job_text.js";
import { PictureFrame } from "./picture_frame.js";

/** @param title what tells it from its neighbours */
export function JobCard({ job, title, models, actions }) {
  const spoken = spokenState(job);
  useEffect(() => announce(title ? `${title}: ${spoken}` : spoken), [spoken, title]);
  const size = sizeOf(job, models);
  const pictures = job.seeds.map((seed, i) => ({ seed, output: job.outputs[i] }));
  const label = title ?? job.prompt;
  return html`<article class=${`job ${job.status}`} aria-label=${label}>
    ${title && html`<h2 class="job-title">${title}</h2>`}
    <div class=${pictures.length > 1 ? "pictures many" : "pictures"}>
      ${
    pictures.map(({ seed, output }, i) =>
      html`
        <figure>
          <${Opening} output=${output}>
                  <${PictureFrame} output=${output} size=${size} preview=${job.previews?.[i]}
                    alt=${`${job.prompt || "Without a prompt"}, seed ${seed}`} />
                <//>
                ${(isEnded(job) || pictures.length > 1) && html`<figcaption>
          <span class="soft">seed</span> <span class="number">${seed}</span>
        </figcaption>`}
              </figure>
      `
    )
  }
    </div>
    <${Status} job=${job} label=${label} />
    ${job.warnings.map((text) => html`<p class="warning">${text}</p>`)}
    ${actions?.(job)}
  </article>`;
}

function Opening({ output, children }) {
  if (!output) return children;
  return html`<a class="opening" href=${addressOf("gallery", output.id)}>${children}</a>`;
}

function Status({ job, label }) {
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
  return html`<div class="status">
    ${
    !isOver && html`
      <progress max="1" value=${job.status === "queued" ? 0 : job.progress.value}
        aria-label=${`Progress of ${label}`}></progress>
    `
  }
    <div class="status-line">
      <span class=${job.status === "failed" ? "number error" : "number"}>${
    error ?? stateText(job)
  }</span>
      ${
    !isOver && html`<button class="quiet" onClick=${cancel} disabled=${job.status === "canceling"}>
        Cancel
      </button>`
  }
    </div>
  </div>`;
}
