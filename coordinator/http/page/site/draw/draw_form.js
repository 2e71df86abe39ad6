/** All that can be said of a picture before it is drawn. @module */

import { useEffect, useRef, useState } from "preact/hooks";
import { Choice, Field, NumberInput } from "../parts/field.js";
import { count } from "../parts/format.js";
import { html } from "../parts/html.js";
import { CompareField } from "./compare_field.js";
import { jobBodies } from "./form_values.js";
import { MethodField } from "./method_field.js";
import { OtherFields } from "./other_fields.js";
import { PromptField } from "./prompt_field.js";
import { SamplingFields } from "./sampling_fields.js";
import { SeedField } from "./seed_field.js";
import { SizeField } from "./size_field.js";

/** @param problem of the last attempt: an `ApiError` */
export function DrawForm({ catalog, values, onChange, onDraw, isSending, problem }) {
  const form = useRef();
  const [isWide] = useState(() => matchMedia("(min-width: 60rem)").matches);
  const model = catalog.models.find(({ name }) => name === values.ensemble);
  const errors = problem?.field ? { [problem.field]: problem.message } : {};
  useEffect(() => {
    form.current?.querySelector('[aria-invalid="true"]')?.focus();
  }, [problem]);
  const submit = (event) => {
    event.preventDefault();
    if (!isSending) onDraw();
  };
  const submitByKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  const jobs = jobBodies(values, catalog).length;
  const part = { values, catalog, model, onChange };
  return html`
    <form class="draw-form" ref=${form} onSubmit=${submit} onKeyDown=${submitByKey} novalidate
      aria-label="What to draw">
      <div class="fields">
        <${PromptField} ...${part} name="prompt" label="Prompt" rows="3" error=${errors.prompt} />
        <${PromptField} ...${part} name="negative" label="Negative prompt" rows="1"
          error=${errors.negative} />
        <details class="settings" open=${isWide}>
          <summary>Settings</summary>
          <div class="fields">
            <${EnsembleField} ...${part} error=${errors.ensemble} />
            <${MethodField} ...${part} error=${errors.method} />
            <${SamplingFields} ...${part} errors=${errors} />
            <${SizeField} ...${part} error=${errors.size} />
            <div class="pair">
              <${SeedField} ...${part} error=${errors.seed} />
              <${Field} name="batch" label="Pictures" error=${errors.batch}
                control=${(tied) =>
                  html`
                    <${NumberInput} tied=${tied} value=${values.batch} min="1" step="1"
                      onChange=${(batch) => onChange({ batch })} />
                  `} />
            </div>
            <${CompareField} ...${part} />
            <${OtherFields} ...${part} errors=${errors} />
          </div>
        </details>
      </div>
      <div class="go">
          ${problem && !isShown(problem, form) &&
            html`<p class="error" role="alert">${problem.message}</p>`}
          <button class="primary" disabled=${isSending} title="Ctrl+Enter">
            ${jobs > 1 ? `Draw ${count(jobs, "time")}` : "Draw"}
          </button>
        </div>
    </form>
  `;
}

/** Whether a field has told it. */
function isShown({ field }, form) {
  return field !== undefined && form.current?.querySelector(`[name="${CSS.escape(field)}"]`);
}

function EnsembleField({ values, catalog, model, onChange, error }) {
  const names = model.experts.map(({ name }) => name).join(", ");
  return html`
    <${Field} name="ensemble" label="Ensemble" hint=${`Experts: ${names}`} error=${error}
      control=${(tied) =>
        html`
          <${Choice} tied=${tied} value=${values.ensemble} onChange=${(ensemble) =>
            onChange({ ensemble })}
            options=${catalog.models.map(({ name }) => ({ value: name, label: name }))} />
        `} />
  `;
}
