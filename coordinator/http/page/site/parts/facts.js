/** Names and values, one below the other. @module */

import { html } from "./html.js";

/** @param facts pairs of a name and a value */
export function Facts({ facts }) {
  const rows = facts.map(([name, value]) =>
    html`
      <div>
        <dt>${name}</dt>
        <dd class="number">${value}</dd>
      </div>
    `
  );
  return html`<dl class="facts">${rows}</dl>`;
}
