/** All that can be said of a picture before it is drawn. @module */

import { useEffect, useRef, useState } from "preact/hooks";
import { Choice, Field, NumberInput } from "../parts/field.js";
import { count } from "../parts/format.js";
import { html } from "../parts/html.js";
import { CompareField } from "./compare_field.js";
import { withEnsemble } from "./form_values.js";
import { jobCount } from "./job_bodies.js";
import { MethodField } from "./method_field.js";
import { OtherFields } from "./other_fields.js";
import { PromptField } from "./prompt_field.js";
import { SamplingFields } from "./sampling_fields.js";
import { SeedField } from "./seed_field.js";
import { SizeField } from "./size_field.js";
import { StartField } from "./start_field.js";

/** @param problem of the last attempt: an `ApiError` */
export function DrawForm({ catalog, values, onChange, onDraw, isSending, problem }) {
  const form = useRef();
  const [isWide] = useState(() => matchMedia("(min-width: 60rem)").matches);
  const model = catalog.models.find(({ name }) => name === values.ensemble);
  const errors = problem?.field ? { [problem.field]: problem.message } : {};
  useEffect(() => {
    const wrong = form.current.querySelector('[aria-invalid="true"]');
    wrong?.closest("details")?.setAttribute("open", "");
    wrong?.focus();
  }, [problem]);
  const submit = (event) => {
    event.preventDefault();
    if (!isSending) onDraw();
  };
  const submitByKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  const jobs = jobCount(values, catalog);
  const part = { values, catalog, model, onChange, errors };
  const general = html`<p class="error" role="alert">${problem?.message}</p>`;
  return html`
    <form class="draw-form" ref=${form} onSubmit=${submit} onKeyDown=${submitByKey} novalidate
      aria-label="What to draw">
      <div class="fields">
        <${PromptField} ...${part} name="prompt" label="Prompt" rows="3" error=${errors.prompt} />
        <${PromptField} ...${part} name="negative" label="Negative prompt" rows="1"
          error=${errors.negative} />
        <details class="settings" open=${isWide}>
          <summary>Settings</summary>
          <${SettingFields} ...${part} />
        </details>
      </div>
      <div class="go">
        ${problem && !problem.field && general}
        <button class="primary" disabled=${isSending} title="Ctrl+Enter">
          ${jobs > 1 ? `Draw ${count(jobs, "time")}` : "Draw"}
        </button>
      </div>
    </form>
  `;
}

function SettingFields(part) {
  const { values, onChange, errors } = part;
  const batch = (tied) =>
    html`
      <${NumberInput} tied=${tied} value=${values.batch} min="1" step="1"
        onChange=${(text) => onChange({ batch: text })} />
    `;
  return html`
    <div class="fields">
      <${EnsembleField} ...${part} />
      <${MethodField} ...${part} />
      <${SamplingFields} ...${part} />
      <${SizeField} ...${part} />
      <div class="pair">
        <${SeedField} ...${part} />
        <${Field} name="batch" label="Pictures" error=${errors.batch} control=${batch} />
      </div>
      <${StartField} ...${part} />
      <${CompareField} ...${part} />
      <${OtherFields} ...${part} />
    </div>
  `;
}

function EnsembleField({ values, catalog, model, onChange, errors }) {
  const names = model.experts.map(({ name }) => name).join(", ");
  const options = catalog.models.map(({ name }) => ({ value: name, label: name }));
  const choose = (ensemble) => onChange(withEnsemble(values, ensemble, catalog));
  const control = (tied) =>
    html`
      <${Choice} tied=${tied} value=${values.ensemble} onChange=${choose} options=${options} />
    `;
  return html`
    <${Field} name="ensemble" label="Ensemble" hint=${`Experts: ${names}`} error=${errors.ensemble}
      control=${control} />
  `;
}
