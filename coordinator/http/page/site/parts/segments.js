/** A few choices as buttons side by side. @module */

import { html } from "./html.js";

export function Segments({ label, value, options, onChange }) {
  const buttons = options.map((option) => {
    const isOn = option.value === value ? "true" : "false";
    const choose = () => onChange(option.value);
    return html`
      <button type="button" aria-pressed=${isOn} onClick=${choose}>${option.label}</button>
    `;
  });
  return html`<div class="segments" role="group" aria-label=${label}>${buttons}</div>`;
}
