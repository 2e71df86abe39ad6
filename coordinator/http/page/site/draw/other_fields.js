/** All other settings that a job takes, as the API's document lists them. @module */

import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function OtherFields({ values: { others }, catalog, onChange, errors }) {
  const set = Object.values(others).filter((text) => text.trim() !== "").length;
  const fields = catalog.others.map(({ name, description }) => {
    const write = ({ target }) => onChange({ others: { ...others, [name]: target.value } });
    const control = (tied) =>
      html`
        <input ...${tied} value=${others[name] ?? ""} placeholder="default" spellcheck="false"
          autocomplete="off" onInput=${write} />
      `;
    return html`
      <${Field} name=${name} label=${name.replaceAll("_", " ")} hint=${description}
        error=${errors[name]} control=${control} />
    `;
  });
  return html`
    <details class="more">
      <summary>More settings ${set > 0 && html`<span class="badge">${set} set</span>`}</summary>
      <div class="fields">${fields}</div>
    </details>
  `;
}
