/** Gallery: all that was drawn and is still kept. @module */

import { useCallback, useEffect, useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { addressOf, goTo } from "../app/route.js";
import { announce } from "../parts/announcer.js";
import { moment } from "../parts/format.js";
import { html } from "../parts/html.js";
import { Problem } from "../parts/problem.js";
import { stateText } from "../job/job_text.js";
import { PictureDialog } from "./picture_dialog.js";

const AT_A_TIME = 48;
const SHOWN = { pictures: "succeeded", failures: "failed,canceled" };

/** @param rest id of the picture that is open */
export function GalleryView({ catalog, rest }) {
  const [shown, setShown] = useState("pictures");
  const { jobs, hasMore, error, more, forget } = useHistory(SHOWN[shown]);
  const pictures = (jobs ?? []).flatMap((job) => job.outputs.map((output) => ({ job, output })));
  const place = pictures.findIndex(({ output }) => output.id === rest);
  const open = (step) => {
    const next = pictures[place + step];
    if (place >= 0 && next) goTo("gallery", next.output.id);
  };
  return html`
    <div class="view-head">
      <h1>Gallery</h1>
      <div class="segments" role="group" aria-label="What is shown">
        ${Object.keys(SHOWN).map((name) =>
          html`
            <button type="button"
              aria-pressed=${name === shown ? "true" : "false"} onClick=${() => setShown(name)}>
                      ${name === "pictures" ? "Pictures" : "Failed and cancelled"}
                    </button>
          `
        )}
      </div>
    </div>
    ${error && html`<${Problem} error=${error} onRetry=${more} />`}
    ${jobs && shown === "pictures" && html`<${Pictures} pictures=${pictures} />`}
    ${jobs && shown === "failures" && html`<${Failures} jobs=${jobs} />`}
    ${hasMore && html`<button class="load-more" onClick=${more}>Show more</button>`}
    ${rest !== "" && html`
      <${PictureDialog} key=${rest} id=${rest} catalog=${catalog} known=${pictures[place]}
        onStep=${open} hasBefore=${place > 0} hasAfter=${place >= 0 && place < pictures.length - 1}
        onDeleted=${(id) => {
          forget(id);
          announce("Deleted");
        }} />
    `}
  `;
}

/** Jobs of some states, the newest first. */
function useHistory(states) {
  const [state, setState] = useState({});
  const first = `/api/v1/jobs?limit=${AT_A_TIME}&status=${states}`;
  const load = useCallback(async (address, before) => {
    try {
      const { jobs, next } = await ask(`GET ${address}`);
      // The next address does not say which states are asked for.
      setState({ states, jobs: [...before, ...jobs], next: next && `${next}&status=${states}` });
    } catch (error) {
      setState((old) => ({ ...old, states, error }));
    }
  }, [states]);
  useEffect(() => void load(first, []), [load, first]);
  const { jobs, next, error } = state.states === states ? state : {};
  return {
    jobs,
    error,
    hasMore: Boolean(next),
    more: () => load(next ?? first, jobs ?? []),
    forget: (id) => setState((old) => ({ ...old, jobs: old.jobs.filter((job) => job.id !== id) })),
  };
}

function Pictures({ pictures }) {
  if (pictures.length === 0) {
    return html`
      <div class="empty">
        <p>No pictures yet.</p>
        <a class="button" href=${addressOf("draw")}>Draw the first one</a>
      </div>
    `;
  }
  return html`<ul class="thumbs">
    ${
    pictures.map(({ job, output }) =>
      html`
        <li key=${output.id}>
          <a href=${addressOf("gallery", output.id)}>
            <img src=${output.url} loading="lazy" width=${output.width} height=${output.height}
              class=${output.width <= 160 ? "small" : ""} alt=${`${
                job.prompt || "Without a prompt"
              }, seed ${output.seed}`} />
          </a>
        </li>
      `
    )
  }
  </ul>`;
}

function Failures({ jobs }) {
  if (jobs.length === 0) {
    return html`
      <div class="empty">
        <p>Nothing has failed.</p>
      </div>
    `;
  }
  return html`<ul class="failures">
    ${
    jobs.map((job) =>
      html`
        <li key=${job.id} class="card">
          <p class="failure-prompt">${job.prompt || "Without a prompt"}</p>
          <p class=${job.status === "failed" ? "error" : "soft"}>${stateText(job)}</p>
          <p class="hint">${moment(job.created_at)}</p>
        </li>
      `
    )
  }
  </ul>`;
}
