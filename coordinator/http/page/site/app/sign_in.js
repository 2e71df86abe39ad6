/** Asks for a token where the server needs one. @module */

import { useState } from "preact/hooks";
import { ask } from "../api/request.js";
import { Field } from "../parts/field.js";
import { html } from "../parts/html.js";

export function SignIn({ onDone }) {
  const [error, setError] = useState();
  const submit = async (event) => {
    event.preventDefault();
    const { token } = Object.fromEntries(new FormData(event.target));
    try {
      await ask("POST /api/v1/session", { token: token.trim() });
      await onDone();
    } catch (problem) {
      setError(problem);
    }
  };
  const control = (tied) =>
    html`
      <input ...${tied} type="password" required autocomplete="current-password" spellcheck="false" />
    `;
  return html`
    <main id="main" class="alone" tabindex="-1">
      <form class="card sign-in" onSubmit=${submit}>
        <h1>Sign in</h1>
        <p class="soft">
          This server asks for a token of its token file. The browser keeps a pass for it, not the
          token.
        </p>
        <${Field} name="token" label="Token" error=${error?.message} control=${control} />
        <button class="primary">Sign in</button>
      </form>
    </main>
  `;
}
