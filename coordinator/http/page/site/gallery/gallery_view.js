/** Gallery: all that was drawn and is still kept. @module */

import { useState } from "preact/hooks";
import { addressOf, goTo, replaceRoute } from "../app/route.js";
import { keepValues } from "../draw/kept_values.js";
import { stateText } from "../job/job_text.js";
import { announce } from "../parts/announcer.js";
import { moment } from "../parts/format.js";
import { html } from "../parts/html.js";
import { Problem } from "../parts/problem.js";
import { Segments } from "../parts/segments.js";
import { PictureDialog } from "../picture/picture_dialog.js";
import { useHistory } from "./history.js";

const SHOWN = [
  { value: "pictures", label: "Pictures", states: "succeeded" },
  { value: "failures", label: "Failed and cancelled", states: "failed,canceled" },
];

/** @param rest id of the picture that is open */
export function GalleryView({ catalog, rest }) {
  const [shown, setShown] = useState("pictures");
  const { states } = SHOWN.find(({ value }) => value === shown);
  const { jobs, hasMore, error, more, forget } = useHistory(states);
  const pictures = (jobs ?? []).flatMap((job) => job.outputs.map((output) => ({ job, output })));
  const onUse = (values) => {
    keepValues(values);
    goTo("draw");
  };
  const onDeleted = (id) => {
    forget(id);
    announce("Deleted");
  };
  const onOpen = (id) => replaceRoute("gallery", id);
  const onClose = () => goTo("gallery");
  const dialog = html`
    <${PictureDialog} id=${rest} ...${{ catalog, pictures, onOpen, onClose, onUse, onDeleted }} />
  `;
  const list = shown === "pictures"
    ? html`<${Pictures} pictures=${pictures} />`
    : html`<${Failures} jobs=${jobs ?? []} />`;
  const button = html`<button class="load-more" onClick=${more}>Show more</button>`;
  return html`
    <div class="view-head">
      <h1>Gallery</h1>
      <${Segments} label="What is shown" value=${shown} options=${SHOWN} onChange=${setShown} />
    </div>
    ${error && html`<${Problem} error=${error} onRetry=${more} />`}
    ${jobs && list}
    ${hasMore && button}
    ${rest !== "" && dialog}
  `;
}

function Pictures({ pictures }) {
  const thumbs = pictures.map(({ job, output: { id, url, seed, width, height } }) => {
    const alt = `${job.prompt || "Without a prompt"}, seed ${seed}`;
    const kind = width <= 160 ? "small" : "";
    return html`
      <li key=${id}>
        <a href=${addressOf("gallery", id)}>
          <img src=${url} alt=${alt} loading="lazy" class=${kind} width=${width}
            height=${height} />
        </a>
      </li>
    `;
  });
  if (thumbs.length > 0) return html`<ul class="thumbs">${thumbs}</ul>`;
  return html`
    <div class="empty">
      <p>No pictures yet.</p>
      <a class="button" href=${addressOf("draw")}>Draw the first one</a>
    </div>
  `;
}

function Failures({ jobs }) {
  const cards = jobs.map((job) =>
    html`
      <li key=${job.id} class="card">
        <p class="failure-prompt">${job.prompt || "Without a prompt"}</p>
        <p class=${job.status === "failed" ? "error" : "soft"}>${stateText(job)}</p>
        <p class="hint">${moment(job.created_at)}</p>
      </li>
    `
  );
  if (cards.length > 0) return html`<ul class="failures">${cards}</ul>`;
  return html`
    <div class="empty">
      <p>Nothing has failed.</p>
    </div>
  `;
}
