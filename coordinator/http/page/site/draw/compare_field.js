/** The same seed several times, side by side. @module */

import { Choice, Field } from "../parts/field.js";
import { html } from "../parts/html.js";
import { COMPARISONS } from "./comparisons.js";

const NOTHING = { value: "nothing", label: "One picture at a time" };
const OPTIONS = [
  NOTHING,
  ...Object.keys(COMPARISONS).map((name) => ({ value: name, label: `Several ${name}` })),
];

export function CompareField({ values, catalog, onChange }) {
  const choices = COMPARISONS[values.compare]?.choices(catalog, values) ?? [];
  const choose = (compare) => {
    const current = COMPARISONS[compare]?.current(values);
    onChange({ compare, compared: current === undefined ? [] : [current] });
  };
  const toggle = (value) => {
    const others = values.compared.filter((each) => each !== value);
    onChange({ compared: others.length < values.compared.length ? others : [...others, value] });
  };
  const boxes = choices.map(({ value, label }) => {
    const isOn = values.compared.includes(value);
    return html`
      <label class="check">
        <input type="checkbox" checked=${isOn} onChange=${() => toggle(value)} />
        <span>${label}</span>
      </label>
    `;
  });
  const several = html`
    <fieldset class="checks">
      <legend class="unseen">What is drawn side by side</legend>
      ${boxes}
    </fieldset>
  `;
  const control = (tied) =>
    html`<${Choice} tied=${tied} value=${values.compare} onChange=${choose} options=${OPTIONS} />`;
  const hint = boxes.length > 0 && "All are drawn with the same seed.";
  return html`
    <${Field} name="compare" label="Side by side" hint=${hint} control=${control} />
    ${boxes.length > 0 && several}
  `;
}
