/** All other settings that a job takes, as the API's document lists them. @module */

import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function OtherFields({ values, catalog, onChange, errors }) {
  const set = Object.values(values.others).filter((text) => text.trim() !== "").length;
  const change = (name, text) => onChange({ others: { ...values.others, [name]: text } });
  return html`
    <details class="more" open=${catalog.others.some(({ name }) => errors[name])}>
      <summary>More settings${set > 0 && html`
        <span class="badge">${set} set</span>
      `}</summary>
      <div class="fields">
          ${catalog.others.map(({ name, description }) =>
            html`
              <${Field} name=${name} label=${name.replaceAll(
                "_",
                " ",
              )} hint=${description} error=${errors[name]}
                control=${(tied) =>
                  html`
                    <input ...${tied} value=${values.others[name] ??
                      ""} placeholder="default" spellcheck="false"
                      autocomplete="off" onInput=${({ target }) => change(name, target.value)} />
                  `} />
            `
          )}
        </div>
    </details>
  `;
}
