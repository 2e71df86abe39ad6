/** What can be done with a picture. @module */

import { useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { goTo } from "../app/route.js";
import { valuesOfJob } from "../draw/form_values.js";
import { keepValues, keptValues } from "../draw/kept_values.js";
import { count } from "../parts/format.js";
import { html } from "../parts/html.js";

export function ActionsPanel({ job, output, catalog, onDeleted }) {
  const [isSure, setSure] = useState(false);
  const [error, setError] = useState();
  const draw = (values) => {
    keepValues(values);
    goTo("draw");
  };
  const remove = async () => {
    try {
      await ask(`DELETE ${job.urls.self}`);
      onDeleted(job.id);
    } catch (problem) {
      setError(problem.message);
    }
  };
  const picture = job.seeds.indexOf(output.seed);
  const isServed = catalog.models.some(({ name }) => name === job.ensemble);
  const pictures = count(job.outputs.length, "picture");
  return html`<section class="actions" aria-label="What to do with it">
    <button class="primary" onClick=${() =>
    draw(valuesOfJob(job, catalog, picture))}>Use these settings</button>
    <button onClick=${() => draw({ ...keptValues(), seed: output.seed })}>Use this seed</button>
    <a class="button" href=${output.url} download=${output.name}>Download</a>
    ${!isSure && html`<button class="danger" onClick=${() => setSure(true)}>Delete</button>`}
    ${
    isSure && html`<p class="sure">
      ${job.outputs.length > 1 ? `Delete all ${pictures} of this job?` : "Delete it for good?"}
      <button class="danger" onClick=${remove}>Delete ${pictures}</button>
      <button onClick=${() => setSure(false)}>Keep</button>
    </p>`
  }
    ${!isServed && html`<p class="hint">Ensemble ${job.ensemble} is not served at the moment.</p>`}
    ${error && html`<p class="error" role="alert">${error}</p>`}
  </section>`;
}
