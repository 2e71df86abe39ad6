/** The frame around the views, and the way in. @module */

import { useCallback, useEffect, useState } from "preact/hooks";
import { readCatalog } from "../api/catalog.js";
import { ask, onSignedOut } from "../api/request.js";
import { forgetValues } from "../draw/kept_values.js";
import { Announcer } from "../parts/announcer.js";
import { html } from "../parts/html.js";
import { Problem } from "../parts/problem.js";
import { Header } from "./header.js";
import { useRoute } from "./route.js";
import { SignIn } from "./sign_in.js";
import { VIEWS } from "./views.js";

export function App() {
  const [session, setSession] = useState();
  const [catalog, setCatalog] = useState();
  const [error, setError] = useState();
  const begin = useCallback(async () => {
    setError(undefined);
    try {
      const found = await ask("GET /api/v1/session");
      setSession(found);
      if (found.is_signed_in) setCatalog(await readCatalog());
    } catch (problem) {
      setError(problem);
    }
  }, []);
  useEffect(() => void begin(), [begin]);
  useEffect(() => onSignedOut(() => setSession({ needs_token: true, is_signed_in: false })), []);
  const signOut = async () => {
    await ask("DELETE /api/v1/session");
    forgetValues();
    await begin();
  };
  const isIn = session?.is_signed_in;
  return html`
    <${Header} onSignOut=${isIn && session.needs_token ? signOut : undefined} isIn=${isIn} />
    <${Announcer} />
    ${error && html`
      <main class="alone">
        <${Problem} error=${error} onRetry=${begin} />
      </main>
    `}
    ${session && !isIn && html`<${SignIn} onDone=${begin} />`}
    ${isIn && catalog && !error && html`<${Views} catalog=${catalog} />`}
  `;
}

function Views({ catalog }) {
  const { view: name, rest } = useRoute();
  const { View, title } = VIEWS.find((each) => each.name === name) ?? VIEWS[0];
  useEffect(() => {
    document.title = `${title} – Tutti`;
  }, [title]);
  return html`
    <main id="main" class=${`view-${title.toLowerCase()}`} tabindex="-1">
      <${View} catalog=${catalog} rest=${rest} />
    </main>
  `;
}
