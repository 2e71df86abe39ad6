/** The seed of the first picture. @module */

import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function SeedField({ values, onChange, error }) {
  const clear = values.seed !== "" && html`
    <button type="button" class="link"
      onClick=${() => onChange({ seed: "" })}>Random</button>
  `;
  return html`
    <${Field} name="seed" label="Seed" error=${error} aside=${clear}
      control=${(tied) =>
        html`
          <input ...${tied} inputmode="numeric" placeholder="random" autocomplete="off" value=${values
            .seed}
            onInput=${({ target }) => onChange({ seed: target.value })} />
        `} />
  `;
}
