/** The same seed several times, side by side. @module */

import { Choice, Field } from "../parts/field.js";
import { html } from "../parts/html.js";
import { COMPARISONS } from "./form_values.js";

const NOTHING = "nothing";

export function CompareField({ values, catalog, onChange }) {
  const options = [
    { value: NOTHING, label: "One picture at a time" },
    ...Object.keys(COMPARISONS).map((name) => ({ value: name, label: `Several ${name}` })),
  ];
  const choices = COMPARISONS[values.compare]?.choices(catalog, values, catalog.models) ?? [];
  const current = values.compare === "methods" ? values.method : values.sampler;
  const choose = (compare) =>
    onChange({
      compare,
      compared: compare === NOTHING ? [] : [compare === "methods" ? values.method : values.sampler],
    });
  const toggle = (value) =>
    onChange({
      compared: values.compared.includes(value)
        ? values.compared.filter((each) => each !== value)
        : [...values.compared, value],
    });
  return html`
    <${Field} name="compare" label="Side by side" hint=${choices.length > 0 &&
      "All are drawn with the same seed."}
      control=${(tied) =>
        html`<${Choice} tied=${tied} value=${values.compare} onChange=${choose} options=${options} />`} />
    ${choices.length > 0 && html`<fieldset class="checks">
      <legend class="unseen">What is drawn side by side</legend>
      ${
      choices.map(({ value, label }) =>
        html`
          <label class="check">
            <input type="checkbox" checked=${values.compared.includes(value)} onChange=${() =>
              toggle(value)} />
            <span>${label}${value === current && html`
              <span class="soft">(chosen above)</span>
            `}</span>
          </label>
        `
      )
    }
    </fieldset>`}
  `;
}
