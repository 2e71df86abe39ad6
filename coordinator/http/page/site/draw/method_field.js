/** How the experts play together. @module */

import { Choice, Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function MethodField({ values, model, catalog, onChange, error }) {
  const fitting = catalog.methods.filter(({ name }) =>
    model.methods.some((each) => each.name === name)
  );
  const summary = catalog.methods.find(({ name }) => name === values.method)?.summary;
  const choose = (method) => {
    const example = model.methods.find(({ name }) => name === method)?.example;
    onChange({ method, method_options: example ?? "" });
  };
  return html`
    <${Field} name="method" label="Method" hint=${summary} error=${error}
      control=${(tied) =>
        html`
          <${Choice} tied=${tied} value=${values.method} onChange=${choose}
            options=${fitting.map(({ name }) => ({ value: name, label: name }))} />
        `} />
    <${Field} name="method_options" label="Options of the method"
      control=${(tied) =>
        html`
          <input ...${tied} value=${values
            .method_options} placeholder="none" spellcheck="false" autocomplete="off"
            onInput=${({ target }) => onChange({ method_options: target.value })} />
        `} />
  `;
}
