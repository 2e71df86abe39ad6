/** What can be done with a picture. @module */

import { useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { valuesOfJob } from "../draw/form_values.js";
import { keptValues } from "../draw/kept_values.js";
import { count } from "../parts/format.js";
import { html } from "../parts/html.js";

export function ActionsPanel({ job, output, catalog, onUse, onDeleted }) {
  const reuse = () => onUse(valuesOfJob(job, catalog, job.seeds.indexOf(output.seed)));
  const reuseSeed = () => onUse({ ...keptValues(), seed: output.seed });
  const isServed = catalog.models.some(({ name }) => name === job.ensemble);
  const hint = html`<p class="hint">Ensemble ${job.ensemble} is not served at the moment.</p>`;
  return html`
    <section class="actions" aria-label="What to do with it">
      <button class="primary" onClick=${reuse}>Use these settings</button>
      <button onClick=${reuseSeed}>Use this seed</button>
      <a class="button" href=${output.url} download=${output.name}>Download</a>
      <${Deletion} job=${job} onDeleted=${onDeleted} />
      ${!isServed && hint}
    </section>
  `;
}

/** Asks once more: nothing brings a picture back. */
function Deletion({ job, onDeleted }) {
  const [isSure, setSure] = useState(false);
  const [error, setError] = useState();
  const remove = async () => {
    try {
      await ask(`DELETE ${job.urls.self}`);
      onDeleted(job.id);
    } catch (problem) {
      setError(problem.message);
    }
  };
  if (!isSure) return html`<button class="danger" onClick=${() => setSure(true)}>Delete</button>`;
  const pictures = count(job.outputs.length, "picture");
  const question = job.outputs.length > 1 ? "Delete all of this job?" : "Delete it for good?";
  return html`
    <p class="sure">
      <span>${question}</span>
      <button class="danger" onClick=${remove}>Delete ${pictures}</button>
      <button onClick=${() => setSure(false)}>Keep</button>
    </p>
    ${error && html`<p class="error" role="alert">${error}</p>`}
  `;
}
