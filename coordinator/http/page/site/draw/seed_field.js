/** The seed of the first picture. @module */

import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function SeedField({ values: { seed }, onChange, errors }) {
  const write = ({ target }) => onChange({ seed: target.value });
  const clear = html`
    <button type="button" class="link" onClick=${() => onChange({ seed: "" })}>Random</button>
  `;
  const control = (tied) =>
    html`
      <input ...${tied} inputmode="numeric" placeholder="random" autocomplete="off" value=${seed}
        onInput=${write} />
    `;
  return html`
    <${Field} name="seed" label="Seed" error=${errors.seed} aside=${seed !== "" && clear}
      control=${control} />
  `;
}
