/** Name and navigation. @module */

import { html } from "../parts/html.js";
import { addressOf, useRoute } from "./route.js";
import { VIEWS } from "./views.js";

export function Header({ isIn, onSignOut }) {
  const { view } = useRoute();
  const current = VIEWS.some(({ name }) => name === view) ? view : VIEWS[0].name;
  const skip = (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  };
  const links = VIEWS.map(({ name, title }) =>
    html`
      <a href=${addressOf(name)} aria-current=${name === current && "page"}>${title}</a>
    `
  );
  const signOut = html`<button class="quiet" onClick=${onSignOut}>Sign out</button>`;
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header class="top">
      <a class="brand" href=${addressOf(VIEWS[0].name)}>
        <img src="/page/mark.svg" alt="" width="26" height="26" />Tutti
      </a>
      <nav aria-label="Views">${isIn && links}</nav>
      ${onSignOut && signOut}
    </header>
  `;
}
