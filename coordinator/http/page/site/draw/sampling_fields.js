/** How noise becomes a picture. @module */

import { Choice, Field, NumberInput } from "../parts/field.js";
import { html } from "../parts/html.js";

export function SamplingFields({ values, catalog, onChange, errors }) {
  const sampler = catalog.samplers.find(({ name }) => name === values.sampler);
  const schedules = catalog.schedules.filter(({ name }) => sampler?.schedules.includes(name));
  const own = { value: "", label: "The sampler's own" };
  const choose = (name) => {
    const next = catalog.samplers.find((each) => each.name === name);
    const schedule = next.schedules.includes(values.schedule) ? values.schedule : "";
    onChange({ sampler: name, schedule });
  };
  return html`
    <div class="pair">
      <${Field} name="sampler" label="Sampler" error=${errors.sampler}
        control=${(tied) =>
          html`
            <${Choice} tied=${tied} value=${values.sampler} onChange=${choose}
              options=${catalog.samplers.map(({ name, label }) => ({ value: name, label }))} />
          `} />
      <${Field} name="schedule" label="Schedule" error=${errors.schedule}
        control=${(tied) =>
          html`
            <${Choice} tied=${tied} value=${values.schedule}
              onChange=${(schedule) => onChange({ schedule })}
              options=${[own, ...schedules.map(({ name, label }) => ({ value: name, label }))]} />
          `} />
    </div>
    <div class="pair">
      <${Field} name="steps" label="Steps" error=${errors.steps}
        control=${(tied) =>
          html`
            <${NumberInput} tied=${tied} value=${values.steps} min="1" step="1"
              onChange=${(steps) => onChange({ steps })} />
          `} />
      <${Field} name="guidance" label="Guidance" error=${errors.guidance}
        control=${(tied) =>
          html`
            <${NumberInput} tied=${tied} value=${values.guidance} step="0.5"
              onChange=${(guidance) => onChange({ guidance })} />
          `} />
    </div>
  `;
}
