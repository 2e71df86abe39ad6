/** What jobs have in common that are side by side. @module */

import { ask } from "../api/request.js";
import { isEnded } from "../job/job_events.js";
import { html } from "../parts/html.js";

export function StageHead({ jobs, onReuse }) {
  const [{ prompt, seeds: [seed] }] = jobs;
  const isSame = (valueOf) => new Set(jobs.map(valueOf)).size === 1;
  const open = jobs.filter((job) => !isEnded(job));
  // One that has ended meanwhile needs no cancelling.
  const cancelAll = () =>
    Promise.allSettled(open.toReversed().map(({ urls }) => ask(`POST ${urls.cancel}`)));
  const shared = html`
    <p><span class="soft">All with seed</span> <span class="number">${seed}</span></p>
  `;
  const keep = html`<button onClick=${() => onReuse({ seed })}>Keep this seed</button>`;
  const cancel = html`<button onClick=${cancelAll}>Cancel all</button>`;
  const isOneSeed = isSame(({ seeds }) => seeds[0]);
  return html`
    <div class="stage-head">
      <div class="grow">
        ${isSame((job) => job.prompt) && html`<h2>${prompt || "Without a prompt"}</h2>`}
        ${isOneSeed && shared}
      </div>
      <div class="actions">${isOneSeed && keep} ${open.length > 0 && cancel}</div>
    </div>
  `;
}
