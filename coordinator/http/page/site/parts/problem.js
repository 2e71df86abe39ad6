/** What went wrong, and a way to try again. @module */

import { html } from "./html.js";

export function Problem({ error, onRetry }) {
  return html`<div class="problem" role="alert">
    <p>${error.message}</p>
    ${onRetry && html`<button onClick=${onRetry}>Try again</button>`}
  </div>`;
}
