/** How noise becomes a picture. @module */

import { Choice, Field, NumberInput } from "../parts/field.js";
import { html } from "../parts/html.js";

const OWN_SCHEDULE = { value: "", label: "The sampler's own" };

export function SamplingFields({ values, catalog, onChange, errors }) {
  const { samplers, schedules } = catalog;
  const schedulesOf = (sampler) => samplers.find(({ name }) => name === sampler)?.schedules ?? [];
  const option = ({ name, label }) => ({ value: name, label });
  const possible = schedules.filter(({ name }) => schedulesOf(values.sampler).includes(name));
  const chooseSampler = (sampler) => {
    const isKept = schedulesOf(sampler).includes(values.schedule);
    onChange({ sampler, schedule: isKept ? values.schedule : "" });
  };
  const choice = (name, options, choose) => (tied) =>
    html`
      <${Choice} tied=${tied} value=${values[name]} onChange=${choose} options=${options} />
    `;
  const number = (name, limits) => (tied) =>
    html`
      <${NumberInput} tied=${tied} value=${values[name]} ...${limits}
        onChange=${(text) => onChange({ [name]: text })} />
    `;
  const chooseSchedule = (schedule) => onChange({ schedule });
  const scheduleOptions = [OWN_SCHEDULE, ...possible.map(option)];
  return html`
    <div class="pair">
      <${Field} name="sampler" label="Sampler" error=${errors.sampler}
        control=${choice("sampler", samplers.map(option), chooseSampler)} />
      <${Field} name="schedule" label="Schedule" error=${errors.schedule}
        control=${choice("schedule", scheduleOptions, chooseSchedule)} />
    </div>
    <div class="pair">
      <${Field} name="steps" label="Steps" error=${errors.steps}
        control=${number("steps", { min: 1, step: 1 })} />
      <${Field} name="guidance" label="Guidance" error=${errors.guidance}
        control=${number("guidance", { step: 0.5 })} />
    </div>
  `;
}
