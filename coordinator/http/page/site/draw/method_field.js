/** How the experts play together. @module */

import { Choice, Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function MethodField({ values, model, catalog, onChange, errors }) {
  const options = model.methods.map(({ name }) => ({ value: name, label: name }));
  const summary = catalog.methods.find(({ name }) => name === values.method)?.summary;
  const choose = (method) => {
    const example = model.methods.find(({ name }) => name === method)?.example;
    onChange({ method, method_options: example ?? "" });
  };
  const write = ({ target }) => onChange({ method_options: target.value });
  const method = (tied) =>
    html`
      <${Choice} tied=${tied} value=${values.method} onChange=${choose} options=${options} />
    `;
  const methodOptions = (tied) =>
    html`
      <input ...${tied} value=${values.method_options} placeholder="none" spellcheck="false"
        autocomplete="off" onInput=${write} />
    `;
  return html`
    <${Field} name="method" label="Method" hint=${summary} error=${errors
      .method} control=${method} />
    <${Field} name="method_options" label="Options of the method" control=${methodOptions} />
  `;
}
